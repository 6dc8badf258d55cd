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
from .words import BREAK, CONTENT, LOOSE_TAGS, NUMBER, STOP, WEAK, Word, join, rarity

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
    rarity: float
    length: float
    count: float
    early: float
    nested: float


_LATIN: Final = _Powers(word_count=0.3, rarity=1.0, length=0.25, count=0.7, early=0.6, nested=0.0)
_CHINESE: Final = _Powers(word_count=0.3, rarity=0.6, length=0.15, count=1.0, early=0.3, nested=0.7)


class _Phrase:
    """A candidate: how often and where it is, and its words as they are best written."""

    __slots__ = ("count", "first", "words")

    def __init__(self, words: list[Word], first: int) -> None:
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
    scores = _scores(phrases, analysis.counts, powers, length)
    wanted = min(limit, _FEWEST + length // _WORDS_PER_KEYWORD)
    return tuple(join(phrases[key].words) for key in _distinct(_ranked(scores, phrases), wanted))


def _phrases(analysis: Analysis) -> dict[Key, _Phrase]:
    """All candidate phrases of at most four words."""
    phrases: dict[Key, _Phrase] = {}
    place = 0
    for sentence in analysis.words:
        for run in runs(sentence):
            keys = [word.key for word in run]
            for start, end in _spans(run):
                key = tuple(keys[start:end])
                phrase = phrases.get(key)
                if phrase is None:
                    phrases[key] = _Phrase(run[start:end], place + start)
                else:
                    phrase.count += 1
                    if phrase.words[0].named and not run[start].named:  # no longer at the start of a sentence
                        phrase.words = run[start:end]
        place += len(sentence)
    return {key: phrase for key, phrase in phrases.items() if phrase.count > 1 or not _is_loose(phrase.words)}


def _is_loose(words: list[Word]) -> bool:
    """Whether Chinese words make a phrase only if the text repeats them."""
    last = words[-1]
    if not last.tag:
        return False
    return (last.kind is WEAK and last.tag in LOOSE_TAGS) or all(word.kind is not CONTENT for word in words)


def runs(sentence: Sequence[Word]) -> Iterator[list[Word]]:
    """Stretches of words that no function word, punctuation mark or participle after a noun interrupts."""
    run: list[Word] = []
    for word in sentence:
        ends = word.kind is STOP or word.kind is BREAK
        if run and (ends or word.parts):
            yield run
            run = []
        if not ends:
            run.append(word)
    if run:
        yield run


def _spans(run: list[Word]) -> Iterator[tuple[int, int]]:
    """Where phrases begin and end in a run: they open and close well, hold a content word, are not too long."""
    if len(run) == 1:  # most runs
        if run[0].kind is CONTENT:
            yield 0, 1
        return
    for start, first in enumerate(run):
        if not first.opens:
            continue
        content, size = False, 0
        for end, word in enumerate(run[start : start + _MAX_WORDS], start + 1):
            content = content or word.kind is CONTENT
            size += len(word.text)
            if word.tag and size > _MAX_HAN and word.tag != "eng":
                break
            if word.closes and (content or (word.tag and size > 2 and end - start > 1)):
                yield start, end


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


def _scores(phrases: dict[Key, _Phrase], counts: Counter[str], powers: _Powers, length: int) -> dict[Key, float]:
    shorter = [math.pow(size, -powers.length) for size in range(1, _MAX_WORDS + 1)]
    values: dict[str, float] = {}
    scores: dict[Key, float] = {}
    for key, phrase in phrases.items():
        value = 0.0
        for word in phrase.words:
            if word.key not in values:
                values[word.key] = _value(word, counts, powers)
            value += values[word.key]
        repeats = 1.0 if phrase.count == 1.0 else math.pow(phrase.count, powers.count)
        scores[key] = value * shorter[len(key) - 1] * repeats * (1 + powers.early * (1 - phrase.first / length))
    return scores


def _value(word: Word, counts: Counter[str], powers: _Powers) -> float:
    if word.kind is NUMBER:
        return 0.0
    count = counts[word.key]
    return math.pow(rarity(word.key), powers.rarity) * (math.pow(count, powers.word_count) if count > 1 else 1.0)


def _ranked(scores: dict[Key, float], phrases: dict[Key, _Phrase]) -> Iterator[Key]:
    """The best first; of equals the earlier. Few are ever asked for, so the order is made bit by bit."""
    heap = [(-score, phrases[key].first, key) for key, score in scores.items()]
    heapq.heapify(heap)
    while heap:
        yield heapq.heappop(heap)[2]


def _distinct(ranked: Iterator[Key], wanted: int) -> list[Key]:
    """The first ``wanted`` keys of which none shares more than half of its words with another."""
    chosen: list[Key] = []
    for key in ranked:
        if not any(_same_subject(key, other) for other in chosen):
            chosen.append(key)
        if len(chosen) >= wanted:
            break
    return chosen


def _same_subject(key: Key, other: Key) -> bool:
    shared = 0
    for word in key:
        shared += word in other
    return shared * 2 > min(len(key), len(other))
