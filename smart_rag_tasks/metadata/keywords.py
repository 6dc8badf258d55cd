"""Key phrases: runs of content words, scored by how often, how early, and how rare their words are.

A phrase's score is the sum of its words' values by its length, its count, and its place. The sum prefers phrases to
words, the count what the text comes back to. In Chinese the count of a phrase leaves out what a longer repeated
phrase holds (C-value, Frantzi et al. 2000): compounds are written there without spaces, so each brings its parts
along. The constants were chosen on abstracts with their authors' keywords, English and Chinese;
``benchmarks/quality.py`` measures them on texts of your own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from .analysis import Analysis
from .words import BREAK, CONTENT, NUMBER, STOP, Word, join, rarity

#: Keywords of a chunk at the most; a short one has fewer, one more for every twenty words.
MAX_KEYWORDS: Final = 8
_FEWEST: Final = 2
_WORDS_PER_KEYWORD: Final = 20
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


@dataclass(slots=True)
class _Phrase:
    #: Place of its first word among the text's words.
    first: int
    count: float = 0.0
    #: Its occurrences, as written.
    forms: list[list[Word]] = field(default_factory=list)


def keywords(analysis: Analysis, limit: int = MAX_KEYWORDS) -> tuple[str, ...]:
    """The text's key phrases, the most important first."""
    length = sum(map(len, analysis.words))
    powers = _CHINESE if analysis.language in ("zh", "ja") else _LATIN
    phrases = _phrases(analysis)
    if powers.nested:
        _discount_nested(phrases, powers.nested)
    scores = _scores(phrases, analysis.counts, powers, length)
    ranked = sorted(scores, key=lambda key: (-scores[key], phrases[key].first, key))
    wanted = min(limit, _FEWEST + length // _WORDS_PER_KEYWORD)
    return tuple(_written(phrases[key]) for key in _distinct(ranked, wanted))


def _phrases(analysis: Analysis) -> dict[Key, _Phrase]:
    """All candidate phrases of at most four words."""
    phrases: dict[Key, _Phrase] = {}
    place = 0
    for sentence in analysis.words:
        for run in runs(sentence):
            for start, words in _spans(run):
                key = tuple([word.key for word in words])
                phrase = phrases.get(key)
                if phrase is None:
                    phrase = phrases[key] = _Phrase(place + start)
                phrase.count += 1
                phrase.forms.append(words)
        place += len(sentence)
    return phrases


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


def _spans(run: list[Word]) -> Iterator[tuple[int, list[Word]]]:
    """The phrases within a run, with their places in it: they open and close well and hold a content word."""
    if len(run) == 1:
        if run[0].kind is CONTENT:
            yield 0, run
        return
    for start, first in enumerate(run):
        if not first.opens:
            continue
        for end in range(start + 1, min(len(run), start + _MAX_WORDS) + 1):
            words = run[start:end]
            if words[-1].closes and (not first.tag or _fits(words)):
                yield start, words


def _fits(words: list[Word]) -> bool:
    """Whether words with tags make a phrase: neither too long nor only words that say little."""
    if words[-1].tag != "eng" and sum([len(word.text) for word in words]) > _MAX_HAN:
        return False
    return any(word.kind is CONTENT for word in words)


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
    values = {
        key: max(1, counts[key]) ** powers.word_count * rarity(key) ** powers.rarity
        for key in {key for phrase in phrases for key in phrase}
    }
    scores: dict[Key, float] = {}
    for key, phrase in phrases.items():
        value = sum([values[word.key] for word in phrase.forms[0] if word.kind is not NUMBER])
        early = 1 + powers.early * (1 - phrase.first / length)
        scores[key] = value / len(key) ** powers.length * phrase.count**powers.count * early
    return scores


def _distinct(ranked: list[Key], wanted: int) -> list[Key]:
    """The first ``wanted`` keys of which none shares more than half of its words with another."""
    chosen: list[Key] = []
    for key in ranked:
        if len(chosen) == wanted:
            break
        if not any(_same_subject(key, other) for other in chosen):
            chosen.append(key)
    return chosen


def _same_subject(key: Key, other: Key) -> bool:
    return len(set(key).intersection(other)) * 2 > min(len(key), len(other))


def _written(phrase: _Phrase) -> str:
    """The form the text uses most, in lower case where it has both as often."""
    forms = Counter(map(join, phrase.forms))
    return max(forms.items(), key=lambda item: (item[1], item[0]))[0]
