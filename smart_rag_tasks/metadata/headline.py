"""The line that says most in the fewest words: a text's gist, and its title where it has none.

The best stretch of at most so many words is taken from the text as written: the weights of its distinct content words
over the square root of its length, more for early sentences. Written for this project; on abstracts and news it comes
closer to the titles people gave (ROUGE) than the sentence LexRank picks, which ``benchmarks/quality.py`` measures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from .analysis import Analysis
from .words import BREAK, CONTENT, NUMBER, STOP, WEAK, Word, join

#: Words of a line; Chinese words are shorter.
GIST_WORDS: Final = 12
TITLE_WORDS: Final = 12
_CHINESE_MORE: Final = 4
#: Sentences; the best line is in one of the best sentences.
_LOOKED_INTO: Final = 4
_LENGTH_POWER: Final = 0.4
_EARLY: Final = 0.5
_FIRST: Final = 1.2
#: A Chinese line stays within one clause; in other languages a comma may be inside.
_CLAUSE_ENDS: Final = frozenset(",;:，；：()（）—")
_SENTENCE_ENDS: Final = frozenset(";:()（）—")


def headline(analysis: Analysis, limit: int = GIST_WORDS) -> str:
    """The best line of at most ``limit`` words (a few more in Chinese), "" for a text without content words."""
    chinese = analysis.language in ("zh", "ja")
    ends = _CLAUSE_ENDS if chinese else _SENTENCE_ENDS
    limit += _CHINESE_MORE if chinese else 0
    best: list[Word] = []
    most = 0.0
    for place, early in _promising(analysis):
        for line in _lines(analysis.words[place], ends, limit):
            score = early * _weight(line, analysis.weights)
            if score > most:
                best, most = line, score
    return join(best)


def _promising(analysis: Analysis) -> list[tuple[int, float]]:
    """The sentences that are worth looking into, and how early they are."""
    total = len(analysis.words)
    early = [(1 + _EARLY * (1 - place / total)) * (1.0 if place else _FIRST) for place in range(total)]
    ranked = sorted(
        range(total), key=lambda place: (-early[place] * _weight(analysis.words[place], analysis.weights), place)
    )
    return [(place, early[place]) for place in sorted(ranked[:_LOOKED_INTO])]


def _weight(line: Sequence[Word], weights: dict[str, float]) -> float:
    keys = {word.key for word in line if word.kind is CONTENT}
    return sum([weights[key] for key in keys]) / math.pow(len(line) + 2, _LENGTH_POWER)


def _lines(sentence: Sequence[Word], ends: frozenset[str], limit: int) -> Iterator[list[Word]]:
    """Stretches of the sentence that begin and end with words that say something."""
    for part in _parts(sentence, ends):
        starts = [0] if len(part) <= limit else _phrase_starts(part)
        for start in starts:
            line = _trim(part, start, limit)
            if line:
                yield line


def _parts(sentence: Sequence[Word], ends: frozenset[str]) -> Iterator[list[Word]]:
    part: list[Word] = []
    for word in sentence:
        if word.kind is BREAK and word.text in ends:
            yield _strip(part)
            part = []
        else:
            part.append(word)
    yield _strip(part)


def _strip(words: list[Word]) -> list[Word]:
    """Without what stands before the first and after the last word that says something."""
    start, end = 0, len(words)
    while start < end and words[start].kind is not CONTENT:
        start += 1
    while end > start and words[end - 1].kind in (STOP, BREAK):
        end -= 1
    return words[start:end]


def _phrase_starts(words: list[Word]) -> list[int]:
    return [
        place
        for place, word in enumerate(words)
        if word.kind is CONTENT and (place == 0 or words[place - 1].kind in (STOP, BREAK))
    ]


def _trim(words: list[Word], start: int, limit: int) -> list[Word]:
    """At most ``limit`` words from ``start``, cut back so that no phrase is cut in two."""
    end = min(len(words), start + limit)
    if end < len(words) and words[end].kind in (CONTENT, WEAK, NUMBER):
        cut = end
        while cut > start and words[cut - 1].kind in (CONTENT, WEAK, NUMBER):
            cut -= 1
        end = cut if cut - start > limit // 2 else end
    while end > start and words[end - 1].kind not in (CONTENT, NUMBER):
        end -= 1
    return words[start:end]
