"""A text is cut at its headings; each piece knows the headings above it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .converted import Converted, Heading

#: Below every heading's level: the edge of a page that stands for itself.
_EDGE: Final = -1
#: Characters before the first heading that are a section of their own.
MIN_PREAMBLE: Final = 80


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of text under one heading, the heading's own lines included."""

    start: int
    #: Where its headings end.
    body: int
    end: int
    #: Headings above it, outermost first.
    path: tuple[str, ...]


def sections(converted: Converted) -> Iterator[Section]:
    """The sections in reading order; together they are the whole text.

    A heading without text of its own goes with what follows it, as does a line or two before the first heading.
    Where pages stand apart (slides) each begins a section, with no heading above it but its own.
    """
    edges = [Heading(at, at, _EDGE, "") for at, _ in converted.pages] if converted.pages_apart else []
    start, body, stack = 0, 0, list[Heading]()
    for mark in sorted([*(converted.headings or ()), *edges], key=lambda mark: (mark.start, mark.level)):
        if _ends_here(converted.text, start, body, mark):
            yield Section(start, body, mark.start, tuple(each.title for each in stack))
            start = mark.start
        stack = [each for each in stack if each.level < mark.level]
        stack += [mark] if mark.title else []
        body = mark.end
    yield Section(start, body, len(converted.text), tuple(each.title for each in stack))


def _ends_here(text: str, start: int, body: int, mark: Heading) -> bool:
    """Whether the section from ``start``, whose text begins at ``body``, ends at the mark."""
    if mark.level == _EDGE:
        return mark.start > start
    least = MIN_PREAMBLE if body == 0 else 1
    return len(text[body : mark.start].strip()) >= least
