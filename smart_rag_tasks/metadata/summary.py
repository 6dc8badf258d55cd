"""The one or two sentences of a text that say most of what it is about."""

from __future__ import annotations

import math
from typing import Final

from .analysis import Analysis
from .context import shorten
from .words import CONTENT, Word

#: Characters of a summary; Chinese says more in one.
MAX_SUMMARY: Final = 320
MAX_CHINESE: Final = 120
#: Content words a sentence must have to stand on its own; headings and exclamations have fewer.
_FEWEST: Final = 3
_LENGTH_POWER: Final = 0.6
_FIRST: Final = 1.3


def summarize(analysis: Analysis, sentences: int = 2, limit: int | None = None) -> str:
    """At most ``sentences`` sentences in the text's order, in at most ``limit`` characters; "" without any."""
    chinese = analysis.language in ("zh", "ja")
    limit = limit or (MAX_CHINESE if chinese else MAX_SUMMARY)
    covered: set[str] = set()
    chosen: list[int] = []
    room = limit
    for _ in range(sentences):
        place = _next(analysis, chosen, covered, room)
        if place is None:
            break
        chosen.append(place)
        covered |= _keys(analysis.words[place])
        room = limit - sum(len(analysis.sentences[place]) + 1 for place in chosen)
    separator = "" if chinese else " "
    return shorten(separator.join(analysis.sentences[place] for place in sorted(chosen)), limit)


def _next(analysis: Analysis, chosen: list[int], covered: set[str], room: int) -> int | None:
    """The sentence that adds most; after the first only one that fits."""
    best, most = None, 0.0
    for place, words in enumerate(analysis.words):
        if place in chosen or (chosen and len(analysis.sentences[place]) > room):
            continue
        score = _score(analysis, words, covered) * (_FIRST if place == 0 else 1.0)
        if score > most:
            best, most = place, score
    return best


def _score(analysis: Analysis, words: tuple[Word, ...], covered: set[str]) -> float:
    keys = _keys(words)
    fresh: float = sum([analysis.weights[key] for key in keys - covered])
    return fresh / math.pow(len(words) + 5, _LENGTH_POWER) * min(1.0, len(keys) / _FEWEST)


def _keys(words: tuple[Word, ...]) -> set[str]:
    return {word.key for word in words if word.kind is CONTENT}
