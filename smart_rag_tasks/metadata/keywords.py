"""Key phrases: runs of content words, scored by how often, how early, and how rare their words are.

A phrase's score is the sum of its words' values by its length, its count, and its place. The sum prefers phrases to
words, the count what the text comes back to. In Chinese the count of a phrase leaves out what a longer repeated
phrase holds (C-value, Frantzi et al. 2000): compounds are written there without spaces, so each brings its parts
along. The constants were chosen on abstracts with their authors' keywords, English and Chinese;
``benchmarks/quality.py`` measures them on texts of your own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Final

from .analysis import Analysis
from .kept import Kept
from .words import ANYWHERE, CONTENT, FIRST, LAST, NUMBER, Word, join, rareness

#: Keywords of a chunk at the most; a short one has fewer, one more for every twenty words.
MAX_KEYWORDS: Final = 8
_FEWEST: Final = 2
_WORDS_PER_KEYWORD: Final = 20
#: Words of a phrase.
_MAX_WORDS: Final = 4
#: Words of a phrase in capitals; more are the heads of a table (USER PID COMMAND).
_CAPITALS: Final = 2
#: Characters of a Chinese phrase: longer ones are clauses that the tagger took for nouns.
_MAX_HAN: Final = 8

#: Tags of words that may be longer: of alphabets.
_ANY_LENGTH: Final = ("", "eng")

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

    def holds(self, key: Key) -> bool:
        """Whether it says no word twice, and is a word, repeated, or no clause, no head of a table, not all weak."""
        if len(key) == 1:
            return True
        if len(set(key)) < len(key):
            return False
        if key in self.counts:
            return True
        words = self.written(key)
        if len(key) > _CAPITALS and all(word.text.isupper() for word in words):
            return False
        loose = [word.loose for word in words]
        if ANYWHERE in loose or loose[0] == FIRST or loose[-1] == LAST:
            return False
        return any(word.kind is CONTENT for word in words)


def keywords(analysis: Analysis, limit: int = MAX_KEYWORDS) -> tuple[str, ...]:
    """The text's key phrases, the most important first."""
    powers = _CHINESE if analysis.language in ("zh", "ja") else _LATIN
    phrases = _phrases(analysis)
    if powers.nested:
        _discount_nested(phrases, powers.nested)
    wanted = min(limit, _FEWEST + len(phrases.words) // _WORDS_PER_KEYWORD)
    chosen = _distinct(filter(phrases.holds, _ranked(phrases, analysis.counts, powers)), wanted)
    return tuple(join(phrases.written(key)) for key in chosen)


def _phrases(analysis: Analysis) -> _Phrases:
    """All candidates: at most four words that open and close well.

    No function word, punctuation mark or participle after a noun is inside one.
    """
    phrases = _Phrases(list(chain.from_iterable(analysis.words)))
    words, first, better, counts = phrases.words, phrases.first, phrases.better, phrases.counts
    keys = tuple([word.key for word in words])
    tagged = any(sentence[0].tag for sentence in analysis.words if sentence)
    sizes = [0, *accumulate([len(word.text) for word in words])] if tagged else []
    end = 0
    for sentence in analysis.words:
        begins: list[int] = []  # of the phrases that may end here or go on
        for place, word in enumerate(sentence, end):
            if word.ends:
                begins = []
                if not word.opens:
                    continue
            if word.opens:
                begins.append(place)
            if not begins:
                continue
            if tagged and word.tag not in _ANY_LENGTH and sizes[place + 1] - sizes[begins[0]] > _MAX_HAN:
                begins = [begin for begin in begins if sizes[place + 1] - sizes[begin] <= _MAX_HAN]
            if word.closes:
                for begin in begins:
                    key = keys[begin : place + 1]
                    if key in first:
                        counts[key] = counts.get(key, 1.0) + 1
                        if not words[begin].named and words[better.get(key, first[key])].named:
                            better[key] = begin  # no longer at the start of a sentence
                    elif word.kind is CONTENT or (begin < place and sizes[place + 1] - sizes[begin] > 2):
                        first[key] = begin
            if begins and place - begins[0] == _MAX_WORDS - 1:
                del begins[0]
        end += len(sentence)
    return phrases


def _discount_nested(phrases: _Phrases, share: float) -> None:
    """Takes ``share`` of the count of the most repeated phrase around each phrase from its own count."""
    around: dict[Key, float] = {}
    for key, count in phrases.counts.items():
        for inner in _inner(key) if len(key) > 1 else ():
            if inner in phrases.first:
                around[inner] = max(around.get(inner, 0.0), count)
    for key, count in around.items():
        phrases.counts[key] = max(0.5, phrases.counts.get(key, 1.0) - share * count)


def _inner(key: Key) -> Iterator[Key]:
    size = len(key)
    return (key[a:b] for a in range(size) for b in range(a + 1, size + 1) if b - a < size)


def _ranked(phrases: _Phrases, counts: Counter[str], powers: _Powers) -> list[Key]:
    """The best first; of equals the earlier."""
    rareness = powers.rareness
    values = {
        key: rareness[key] if count == 1 else rareness[key] * math.pow(count, powers.word_count)
        for key, count in counts.items()
    }
    shorter = [math.pow(size, -powers.length) for size in range(1, _MAX_WORDS + 1)]
    early = powers.early / max(len(phrases.words), 1)
    scored: list[tuple[float, int, Key]] = []
    for key, place in phrases.first.items():
        if len(key) == 1:  # a content word
            value = values[key[0]]
        else:
            value = 0.0
            for part in key:
                if part not in values:
                    is_number = phrases.words[place + key.index(part)].kind is NUMBER
                    values[part] = 0.0 if is_number else rareness[part]
                value += values[part]
            value *= shorter[len(key) - 1]
        if key in phrases.counts:
            value *= math.pow(phrases.counts[key], powers.count)
        scored.append((value * (early * place - powers.early - 1), place, key))
    scored.sort()
    return [key for _, _, key in scored]


def _distinct(ranked: Iterable[Key], wanted: int) -> list[Key]:
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
