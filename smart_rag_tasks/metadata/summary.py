"""The one or two sentences of a text that say most of what it is about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from .analysis import Analysis
from .context import shorten

#: Characters of a summary; Chinese says more in one.
MAX_SUMMARY: Final = 320
MAX_CHINESE: Final = 120
#: Content words a sentence must have to stand on its own; headings and exclamations have fewer.
_FEWEST: Final = 3
_LENGTH_POWER: Final = 0.6
_FIRST: Final = 1.3
#: How what is a sentence ends; headings, items and the rows of a table do not.
_ENDS: Final = tuple(".!?…。！？；")
_CLOSERS: Final = "\"'”’」』）)]"
_CHINESE_ENDS: Final = tuple("。！？；…”」』）")
#: What stands between the cells of a table's row.
_CELLS: Final = " | "
#: What a word counts that an earlier chosen sentence has: some thread between the two is good.
_AGAIN: Final = 0.4


def summarize(analysis: Analysis, sentences: int = 2, limit: int | None = None) -> str:
    """At most ``sentences`` sentences in the text's order, in at most ``limit`` characters; "" without any.

    Rows of a table, where there is nothing else, are quoted with commas between their cells.
    """
    if analysis.code:
        return ""
    chinese = analysis.language in ("zh", "ja")
    limit = limit or (MAX_CHINESE if chinese else MAX_SUMMARY)
    places = _quotable(analysis.sentences)
    covered: set[str] = set()
    chosen: list[int] = []
    room = limit
    for _ in range(sentences):
        fitting = [place for place in places if _fits(analysis, place, chosen, room)]
        scores = [_score(analysis, place, covered) * _room(analysis, place, room) for place in fitting]
        if not any(scores):
            break
        best = fitting[scores.index(max(scores))]
        chosen.append(best)
        covered |= analysis.said[best]
        room -= len(analysis.sentences[best]) + 1
    summary = ""
    row = False
    for sentence in (analysis.sentences[place] for place in sorted(chosen)):
        if row:
            summary += "; "
        elif summary and not (analysis.language in ("zh", "ja") and summary.endswith(_CHINESE_ENDS)):
            summary += " "
        row = _CELLS in sentence
        summary += sentence.replace(_CELLS, ", ")
    return shorten(summary, limit)


def _quotable(sentences: Sequence[str]) -> Sequence[int]:
    """The places of whole sentences that are no rows of a table, all places where there are none."""
    whole = [
        place
        for place, sentence in enumerate(sentences)
        if sentence.rstrip(_CLOSERS).endswith(_ENDS) and _CELLS not in sentence
    ]
    return whole or range(len(sentences))


def _fits(analysis: Analysis, place: int, chosen: list[int], room: int) -> bool:
    """Whether the sentence can still be taken; the first one may be too long, it is cut."""
    return place not in chosen and (not chosen or len(analysis.sentences[place]) <= room)


def _room(analysis: Analysis, place: int, room: int) -> float:
    """Less for a sentence that has to be cut."""
    return min(1.0, room / len(analysis.sentences[place]))


def _score(analysis: Analysis, place: int, covered: set[str]) -> float:
    keys, fresh = analysis.said[place], analysis.sums[place]
    if covered:
        fresh = math.fsum([analysis.weights[key] * (_AGAIN if key in covered else 1.0) for key in keys])
    length = math.pow(len(analysis.words[place]) + 5, _LENGTH_POWER)
    return fresh / length * min(1.0, len(keys) / _FEWEST) * (1.0 if place else _FIRST)
