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
from dataclasses import dataclass
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
    rareness: Kept[float]
    length: float
    count: float
    early: float
    nested: float


_LATIN: Final = _Powers(word_count=0.3, rareness=rareness(1.0), length=0.25, count=0.7, early=0.6, nested=0.0)
_CHINESE: Final = _Powers(word_count=0.3, rareness=rareness(0.6), length=0.15, count=1.0, early=0.3, nested=0.7)


class _Phrase:
    """A candidate: how often and where it is, and its words as they are best written."""

    __slots__ = ("count", "first", "words")

    def __init__(self, words: Sequence[Word], first: int) -> None:
        self.words = words
        #: Place of its first word among the text's words.
        self.first = first
        self.count = 1.0


def keywords(analysis: Analysis, limit: int = MAX_KEYWORDS) -> tuple[str, ...]:
    """The text's key phrases, the most important first."""
    length = sum(map(len, analysis.words))
    powers = _CHINESE if analysis.language in ("zh", "ja") else _LATIN
    phrases = _phrases(analysis)
    if powers.nested:
        _discount_nested(phrases, powers.nested)
    ranked = _ranked(phrases, analysis.counts, powers, length)
    wanted = min(limit, _FEWEST + length // _WORDS_PER_KEYWORD)
    return tuple(join(phrases[key].words) for key in _distinct(ranked, wanted))


def _phrases(analysis: Analysis) -> dict[Key, _Phrase]:
    """All candidate phrases of at most four words."""
    phrases: dict[Key, _Phrase] = {}
    loose: list[Key] = []
    place = 0
    for sentence in analysis.words:
        for start, key, words in _candidates(sentence):
            phrase = phrases.get(key)
            if phrase is None:
                phrases[key] = _Phrase(words, place + start)
                if words[-1].tag and _is_loose(words):
                    loose.append(key)
            else:
                phrase.count += 1
                if phrase.words[0].named and not words[0].named:  # no longer at the start of a sentence
                    phrase.words = words
        place += len(sentence)
    for key in loose:
        if phrases[key].count == 1:
            del phrases[key]
    return phrases


def _candidates(sentence: Sequence[Word]) -> Iterator[tuple[int, Key, Sequence[Word]]]:
    """A sentence's phrases, their keys and where they begin: they open and close well, and hold a content word.

    No function word, punctuation mark or participle after a noun is inside one.
    """
    for start, first in enumerate(sentence):
        if not first.opens:
            continue
        words = sentence[start : start + _MAX_WORDS]
        key: Key = ()
        content, size = False, 0
        for word in words:
            if word.kind is STOP or word.kind is BREAK or (word.parts and key):
                break
            key += (word.key,)
            content = content or word.kind is CONTENT
            if word.tag:
                size += len(word.text)
                if size > _MAX_HAN and word.tag != "eng":
                    break
            if word.closes and (content or (size > 2 and len(key) > 1)):
                yield start, key, words[: len(key)]


def _is_loose(words: Sequence[Word]) -> bool:
    """Whether Chinese words make a phrase only if the text repeats them."""
    last = words[-1]
    if last.kind is CONTENT:
        return False
    return last.tag in LOOSE_TAGS or all(word.kind is not CONTENT for word in words)


def _discount_nested(phrases: dict[Key, _Phrase], share: float) -> None:
    """Takes ``share`` of the count of the most repeated phrase around each phrase from its own count."""
    around: Counter[Key] = Counter()
    for key, phrase in phrases.items():
        if phrase.count >= 2 and len(key) > 1:
            for inner in _inner(key):
                if inner in phrases:
                    around[inner] = max(around[inner], int(phrase.count))
    for key, count in around.items():
        phrases[key].count = max(0.5, phrases[key].count - share * count)


def _inner(key: Key) -> Iterator[Key]:
    size = len(key)
    return (key[a:b] for a in range(size) for b in range(a + 1, size + 1) if b - a < size)


def _ranked(phrases: dict[Key, _Phrase], counts: Counter[str], powers: _Powers, length: int) -> Iterator[Key]:
    """The best first; of equals the earlier. Few are ever asked for, so the order is made bit by bit."""
    shorter = [math.pow(size, -powers.length) for size in range(1, _MAX_WORDS + 1)]
    values: dict[str, float] = {}
    heap: list[tuple[float, int, Key]] = []
    early = powers.early / max(length, 1)
    for key, phrase in phrases.items():
        value = 0.0
        for word in phrase.words:
            part = values.get(word.key)
            if part is None:
                part = values[word.key] = _value(word, counts, powers)
            value += part
        if len(key) > 1:
            value *= shorter[len(key) - 1]
        if phrase.count != 1.0:
            value *= math.pow(phrase.count, powers.count)
        heap.append((value * (early * phrase.first - powers.early - 1), phrase.first, key))
    heapq.heapify(heap)
    while heap:
        yield heapq.heappop(heap)[2]


def _value(word: Word, counts: Counter[str], powers: _Powers) -> float:
    if word.kind is NUMBER:
        return 0.0
    count = counts.get(word.key, 0)
    rare = powers.rareness[word.key]
    return rare * math.pow(count, powers.word_count) if count > 1 else rare


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
