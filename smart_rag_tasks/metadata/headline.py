"""The line that says most in the fewest words: a text's gist, and its title where it has none.

The best stretch of at most so many words is taken from the text as written: the weights of its distinct content words
over the square root of its length, more for early sentences. Written for this project; on abstracts and news it comes
closer to the titles people gave (ROUGE) than the sentence LexRank picks, which ``benchmarks/quality.py`` measures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from .analysis import Analysis
from .words import BREAK, CONTENT, NUMBER, STOP, WEAK, Word

#: Words of a line; Chinese words are shorter.
GIST_WORDS: Final = 12
TITLE_WORDS: Final = 12
_CHINESE_MORE: Final = 4
#: Sentences; the best line is in one of the best sentences.
_LOOKED_INTO: Final = 4
_LENGTH_POWER: Final = 0.4
_EARLY: Final = 0.5
_FIRST: Final = 1.2
#: A Chinese line stays within one clause; in other languages a comma may be inside. None leaves a cell of a table.
_CLAUSE_ENDS: Final = frozenset(",;:，；：()（）—|")
_SENTENCE_ENDS: Final = frozenset(";:()（）—|")
#: Kinds of words that a phrase consists of, that a line may end with, and that stand between phrases.
_INSIDE: Final = (CONTENT, WEAK, NUMBER)
_LAST: Final = (CONTENT, NUMBER)
_BETWEEN: Final = (STOP, BREAK)
#: Quotation marks, which a line has both of or neither.
_QUOTES: Final = (("“", "”"), ("《", "》"), ("「", "」"), ("『", "』"), ('"', '"'))
_MARKS: Final = frozenset(chain.from_iterable(_QUOTES))


def headline(analysis: Analysis, limit: int = GIST_WORDS) -> str:
    """The best line of at most ``limit`` words (a few more in Chinese), "" for code and for text that says nothing."""
    if analysis.code:
        return ""
    chinese = analysis.language in ("zh", "ja")
    ends = _CLAUSE_ENDS if chinese else _SENTENCE_ENDS
    limit += _CHINESE_MORE if chinese else 0
    best = (0, 0, 0)
    most = 0.0
    for place, early in _promising(analysis):
        sentence, keys = analysis.words[place], analysis.keys[place]
        for start, end in _lines(sentence, ends, limit):
            score = early * (analysis.sum(set(keys[start:end])) / math.pow(end - start + 2, _LENGTH_POWER))
            if score > most:
                best, most = (place, start, end), score
    place, start, end = best
    return _written(analysis.sentences[place], analysis.words[place], start, end) if end else ""


def _promising(analysis: Analysis) -> list[tuple[int, float]]:
    """The sentences that are worth looking into, and how early they are."""
    total = len(analysis.words)
    early = [(1 + _EARLY * (1 - place / total)) * (1.0 if place else _FIRST) for place in range(total)]
    values = [
        early[place] * (weight / math.pow(len(analysis.words[place]) + 2, _LENGTH_POWER))
        for place, weight in enumerate(analysis.sums)
    ]
    ranked = sorted(range(total), key=values.__getitem__, reverse=True)
    return [(place, early[place]) for place in sorted(ranked[:_LOOKED_INTO])]


def _lines(sentence: Sequence[Word], ends: frozenset[str], limit: int) -> Iterator[tuple[int, int]]:
    """Stretches of the sentence that begin and end with words that say something: where they begin and end."""
    for first, last in _parts(sentence, ends):
        starts = [first] if last - first <= limit else _phrase_starts(sentence, first, last)
        for start in starts:
            end = _trim(sentence, start, last, limit)
            if end > start:
                yield start, end


def _parts(sentence: Sequence[Word], ends: frozenset[str]) -> Iterator[tuple[int, int]]:
    start = 0
    for place, word in enumerate(sentence):
        if word.kind is BREAK and word.text in ends:
            yield _strip(sentence, start, place)
            start = place + 1
    yield _strip(sentence, start, len(sentence))


def _strip(words: Sequence[Word], start: int, end: int) -> tuple[int, int]:
    """Without what stands before the first and after the last word that says something."""
    while start < end and words[start].kind is not CONTENT:
        start += 1
    while end > start and words[end - 1].kind in _BETWEEN:
        end -= 1
    return start, end


def _phrase_starts(words: Sequence[Word], first: int, last: int) -> list[int]:
    return [
        place
        for place in range(first, last)
        if words[place].kind is CONTENT and (place == first or words[place - 1].kind in _BETWEEN)
    ]


def _trim(words: Sequence[Word], start: int, last: int, limit: int) -> int:
    """Where at most ``limit`` words from ``start`` end, cut back so that no phrase is cut in two."""
    end = min(last, start + limit)
    if end < last and words[end].kind in _INSIDE:
        cut = end
        while cut > start and words[cut - 1].kind in _INSIDE:
            cut -= 1
        end = cut if cut - start > limit // 2 else end
    while end > start and words[end - 1].kind not in _LAST and not _ends_compound(words[end - 1]):
        end -= 1
    return end


def _ends_compound(word: Word) -> bool:
    """Whether it is a Chinese noun of general meaning (政府工作报告)."""
    return word.kind is WEAK and word.closes and not word.loose


def _written(sentence: str, words: Sequence[Word], start: int, end: int) -> str:
    """The words from ``start`` to ``end`` as they stand in their sentence."""
    last = 0
    for word in words[:start]:
        last = sentence.index(word.text, last) + len(word.text)
    first = last = sentence.index(words[start].text, last)
    for word in words[start:end]:
        last = sentence.index(word.text, last) + len(word.text)
    if _MARKS.isdisjoint(sentence[first:last]):
        return sentence[first:last]
    unpaired = ""
    for opening, closing in _QUOTES:
        if not _is_paired(sentence, first, last, opening, closing) and sentence[:first].endswith(opening):
            first -= 1
        if not _is_paired(sentence, first, last, opening, closing) and sentence.startswith(closing, last):
            last += 1
        if not _is_paired(sentence, first, last, opening, closing):
            unpaired += opening + closing
    return sentence[first:last].translate(dict.fromkeys(map(ord, unpaired)))


def _is_paired(sentence: str, first: int, last: int, opening: str, closing: str) -> bool:
    """Whether each mark in this part of the sentence has its other one there too."""
    if opening == closing:
        return sentence.count(opening, 0, first) % 2 == sentence.count(opening, first, last) % 2 == 0
    return sentence.count(opening, first, last) == sentence.count(closing, first, last)
