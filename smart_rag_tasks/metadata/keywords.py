"""Key phrases: runs of content words, scored by how often, how early, and how rare their words are.

A phrase's score is the sum of its words' values by its length, its count, and its place. The sum prefers phrases to
words, the count what the text comes back to. In Chinese the count of a phrase leaves out what a longer repeated
phrase holds (C-value, Frantzi et al. 2000): compounds are written there without spaces, so each brings its parts
along. The constants were chosen on abstracts with their authors' keywords, English and Chinese;
``benchmarks/quality.py`` measures them on texts of your own.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from .analysis import Analysis
from .kept import Kept
from .words import BREAK, CONTENT, LOOSE_TAGS, NUMBER, STOP, Word, join, rareness

#: Keywords of a chunk at the most; a short one has fewer, one more for every twenty words.
MAX_KEYWORDS: Final = 8
_FEWEST: Final = 2
_WORDS_PER_KEYWORD: Final = 20
#: Words of a phrase.
_MAX_WORDS: Final = 4
#: Characters of a Chinese phrase: longer ones are clauses that the tagger took for nouns.
_MAX_HAN: Final = 8

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Powers:
    """How strongly each property of a phrase counts."""

    word_count: float
    #: Each word's rarity to its power.
    rareness: Kept[str, float]
    length: float
    count: float
    early: float
    nested: float


_LATIN: Final = _Powers(word_count=0.3, rareness=rareness(1.0), length=0.25, count=0.7, early=0.6, nested=0.0)
_CHINESE: Final = _Powers(word_count=0.3, rareness=rareness(0.6), length=0.15, count=1.0, early=0.3, nested=0.7)


@dataclass(slots=True)
class _Phrases:
    """The candidates by their keys; a place is a word's number in the text."""

    #: The text's words, one sentence after the other.
    words: list[Word]
    #: Where each begins first.
    first: dict[Key, int] = field(default_factory=dict)
    #: Where it is better written than there.
    better: dict[Key, int] = field(default_factory=dict)
    #: How often each occurs that does not count once.
    counts: dict[Key, float] = field(default_factory=dict)

    def written(self, key: Key) -> list[Word]:
        """The phrase's words."""
        place = self.better.get(key, self.first[key])
        return self.words[place : place + len(key)]


def keywords(analysis: Analysis, limit: int = MAX_KEYWORDS) -> tuple[str, ...]:
    """The text's key phrases, the most important first."""
    powers = _CHINESE if analysis.language in ("zh", "ja") else _LATIN
    phrases = _phrases(analysis)
    if powers.nested:
        _discount_nested(phrases, powers.nested)
    wanted = min(limit, _FEWEST + len(phrases.words) // _WORDS_PER_KEYWORD)
    chosen = _distinct(_ranked(phrases, analysis.counts, powers), wanted)
    return tuple(join(phrases.written(key)) for key in chosen)


def _phrases(analysis: Analysis) -> _Phrases:
    """All candidate phrases of at most four words."""
    phrases = _Phrases(list(chain.from_iterable(analysis.words)))
    words, first, better, counts = phrases.words, phrases.first, phrases.better, phrases.counts
    loose: list[Key] = []
    for place, key, last in _candidates(words, analysis.words):
        if key not in first:
            first[key] = place
            if last.kind is not CONTENT and _is_loose(words[place : place + len(key)]):
                loose.append(key)
            continue
        counts[key] = counts.get(key, 1.0) + 1
        if not words[place].named and words[better.get(key, first[key])].named:
            better[key] = place  # no longer at the start of a sentence
    for key in loose:
        if key not in counts:
            del first[key]
    return phrases


def _candidates(words: Sequence[Word], sentences: Sequence[Sequence[Word]]) -> Iterator[tuple[int, Key, Word]]:
    """Where phrases begin, their keys and last words: they open and close well, and hold a content word.

    No function word, punctuation mark or participle after a noun is inside one.
    """
    end = 0
    for sentence in sentences:
        begin, end = end, end + len(sentence)
        for place, first in enumerate(sentence, begin):
            if not first.opens:
                continue
            key: Key = (first.key,)
            content = first.kind is CONTENT
            size = len(first.text) if first.tag else 0
            if size > _MAX_HAN and first.tag != "eng":
                continue
            if content and first.closes:
                yield place, key, first
            for last in words[place + 1 : min(place + _MAX_WORDS, end)]:
                kind = last.kind
                if kind is STOP or kind is BREAK or last.parts:
                    break
                key += (last.key,)
                content = content or kind is CONTENT
                if last.tag:
                    size += len(last.text)
                    if size > _MAX_HAN and last.tag != "eng":
                        break
                if last.closes and (content or size > 2):
                    yield place, key, last


def _is_loose(words: Sequence[Word]) -> bool:
    """Whether words that end with none of content make a phrase only if the text repeats them (Chinese)."""
    return words[-1].tag in LOOSE_TAGS or all(word.kind is not CONTENT for word in words)


def _discount_nested(phrases: _Phrases, share: float) -> None:
    """Takes ``share`` of the count of the most repeated phrase around each phrase from its own count."""
    around: dict[Key, float] = {}
    for key, count in phrases.counts.items():
        for inner in _inner(key):
            if inner in phrases.first:
                around[inner] = max(around.get(inner, 0.0), count)
    for key, count in around.items():
        phrases.counts[key] = max(0.5, phrases.counts.get(key, 1.0) - share * count)


def _inner(key: Key) -> Iterator[Key]:
    size = len(key)
    return (key[a:b] for a in range(size) for b in range(a + 1, size + 1) if b - a < size)


def _ranked(phrases: _Phrases, counts: Counter[str], powers: _Powers) -> Iterator[Key]:
    """The best first; of equals the earlier. Few are ever asked for, so the order is made bit by bit."""
    rareness = powers.rareness
    values = {
        key: rareness[key] if count == 1 else rareness[key] * math.pow(count, powers.word_count)
        for key, count in counts.items()
    }
    shorter = [math.pow(size, -powers.length) for size in range(1, _MAX_WORDS + 1)]
    early = powers.early / max(len(phrases.words), 1)
    heap: list[tuple[float, int, Key]] = []
    for key, place in phrases.first.items():
        if len(key) == 1:  # a content word
            value = values[key[0]]
        else:
            value = 0.0
            for offset, part in enumerate(key):
                if part not in values:
                    is_number = phrases.words[place + offset].kind is NUMBER
                    values[part] = 0.0 if is_number else rareness[part]
                value += values[part]
            value *= shorter[len(key) - 1]
        if key in phrases.counts:
            value *= math.pow(phrases.counts[key], powers.count)
        heap.append((value * (early * place - powers.early - 1), place, key))
    heapq.heapify(heap)
    while heap:
        yield heapq.heappop(heap)[2]


def _distinct(ranked: Iterator[Key], wanted: int) -> list[Key]:
    """The first ``wanted`` keys of which none shares more than half of its words with another."""
    chosen: list[Key] = []
    said: set[str] = set()
    for key in ranked:
        if said.isdisjoint(key) or not (len(key) == 1 or _is_said(key, chosen)):
            chosen.append(key)
            said.update(key)
        if len(chosen) >= wanted:
            break
    return chosen


def _is_said(key: Key, chosen: list[Key]) -> bool:
    for other in chosen:
        shared = 0
        for word in key:
            shared += word in other
        if shared * 2 > min(len(key), len(other)):
            return True
    return False
