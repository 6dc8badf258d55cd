"""Lines of printed pages become running text: wrapped lines are joined, page numbers and the like kept once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ..converted import Converted, Heading
from ..headings import ends_sentence, heading_level, numbered_level, plain_title

Pages = Sequence[tuple[int, Sequence[str]]]

#: CJK ideographs, kana, their punctuation and full-width forms: set without spaces, two columns wide.
_WIDE: Final = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\u2018-\u201d…—]")
#: The same without marks that other scripts have between spaces; a long dash has none in any.
_UNSPACED: Final = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef—]")
#: What may be a page's number: alone on its line, after "page", before a total.
_PAGE_NUMBER: Final = re.compile(
    r"(?:^\W*(?=\d+\W*$)|\b(?:page|p\.) ?|第 ?)(\d{1,6})(?!\d)|(?<!\d)(\d{1,6})(?= ?(?:/|of) ?\d)", re.IGNORECASE
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\xad\ufffe\uffff]")
#: Lines at the top and at the bottom of a page that may be the same on every page.
_EDGE_LINES: Final = 2
#: Pages, and at least half of all, that a line must stand on to be a header or footer.
_MIN_REPEATS: Final = 3
#: Characters of a header or footer at the most.
_MAX_EDGE: Final = 300
#: A line of at least this part of the usual width goes on in the next one.
_FULL: Final = 0.75
#: Columns: where lines are usually narrower, width says nothing about what is a heading.
_NARROW: Final = 40
_MAX_HEADING_CHARS: Final = 120


@dataclass(frozen=True, slots=True)
class _Line:
    page: int
    text: str
    #: None for a line that is no heading.
    level: int | None


def squeeze(line: str) -> str:
    """The line with single spaces, none around it, and without control characters and soft hyphens."""
    # PDFium writes U+0002 for a hyphen at the end of a line, also where it has joined the lines itself.
    return _CONTROL.sub("", " ".join(re.sub("[\x02\xad]$", "-", line.rstrip()).split()))


def flow(pages: Pages, heading_lines: Mapping[str, int], title: str) -> Converted:
    """The text of the pages (number, lines), with the offsets where pages begin and the headings.

    ``heading_lines`` gives the level of lines known to be headings, 0 for each of the title; numbered ones are found
    besides.
    """
    kept = list(_without_repeats(pages))
    usual = _usual_width([text for _, text in kept])
    lines = list(_with_levels(kept, {**heading_lines, squeeze(title): 0}, usual))
    words = frozenset(re.findall(r"[\w-]+", " ".join(line.text for line in lines).lower()))
    text = _Text()
    before: _Line | None = None
    for line in lines:
        text.add(line, _between(before, line, usual, words) if before else "")
        before = line
    return Converted("".join(text.parts), "plain", title, tuple(text.headings), tuple(text.pages))


@dataclass(slots=True)
class _Text:
    parts: list[str] = field(default_factory=list)
    length: int = 0
    headings: list[Heading] = field(default_factory=list)
    pages: list[tuple[int, int]] = field(default_factory=list)

    def add(self, line: _Line, joint: str) -> None:
        if joint == "\b":  # the hyphen before it was the typesetter's
            self.parts[-1] = self.parts[-1][:-1]
            self.length, joint = self.length - 1, ""
        start = self.length + len(joint)
        self.parts += (joint, line.text)
        self.length = start + len(line.text)
        if not self.pages or self.pages[-1][1] != line.page:
            self.pages.append((start, line.page))
        if self.headings and line.level is not None and "\n" not in joint:  # a title of several lines
            before = self.headings.pop()
            title = plain_title(f"{before.title}{joint}{line.text}")
            self.headings.append(replace(before, end=self.length, title=title))
        elif line.level is not None:
            self.headings.append(Heading(start, self.length, line.level, plain_title(line.text)))


def _without_repeats(pages: Pages) -> Iterator[tuple[int, str]]:
    """(page, line) of the lines that are not blank; of headers and footers the first only."""
    squeezed = [(number, list(filter(None, map(squeeze, raw)))) for number, raw in pages]
    count = Counter(
        key
        for number, texts in squeezed
        for key in {key for text in _edge(texts) for key in _same_on_every_page(text, number)}
    )
    enough = max(_MIN_REPEATS, len(pages) / 2)
    seen: set[str] = set()
    for number, texts in squeezed:
        for index, text in enumerate(texts):
            at_edge = index < _EDGE_LINES or index >= len(texts) - _EDGE_LINES
            keys = {key for key in _same_on_every_page(text, number) if count[key] >= enough} if at_edge else set()
            if not keys & seen:
                yield number, text
            seen |= keys


def _edge(texts: Sequence[str]) -> Sequence[str]:
    return [*texts[:_EDGE_LINES], *texts[-_EDGE_LINES:]]


def _with_levels(kept: Sequence[tuple[int, str]], known: Mapping[str, int], usual: int) -> Iterator[_Line]:
    same_as = _levels_of_numbers(known)
    before: _Line | None = None
    for (page, text), after in zip(kept, [text for _, text in kept[1:]] + [""], strict=True):
        level = _known_level(text, known, usual)
        if level is None and (before is None or before.level is not None or _paragraph_ends(before.text, usual)):
            number = numbered_level(text, after)
            level = number if number is None else same_as.get(number, number)
        before = _Line(page, text, level)
        yield before


def _levels_of_numbers(known: Mapping[str, int]) -> Mapping[int, int]:
    """What level numbered headings have by their font, for those that are found by their number only."""
    found = ((heading_level(text), level) for text, level in known.items())
    return {number[0]: level for number, level in found if number}


def _known_level(text: str, known: Mapping[str, int], usual: int) -> int | None:
    """Its level for a line that is known to be a heading and looks like one; a title looks as it likes."""
    if known.get(text) == 0:
        return 0
    short = usual < _NARROW or _width(text) < _FULL * usual
    return known.get(text) if short and len(text) <= _MAX_HEADING_CHARS and not ends_sentence(text) else None


def _paragraph_ends(text: str, usual: int) -> bool:
    return ends_sentence(text) or _width(text) < _FULL * usual


def _same_on_every_page(text: str, page: int) -> set[str]:
    """The line as it is, and less the page for each number that may be the page's: that runs up by one with them."""
    if len(text) > _MAX_EDGE:
        return {text}
    found = (match.span(match.lastindex or 0) for match in _PAGE_NUMBER.finditer(text))
    return {text} | {f"{text[:start]}#{int(text[start:end]) - page}{text[end:]}" for start, end in found}


def _width(text: str) -> int:
    return len(text) + len(_WIDE.findall(text))


def _usual_width(texts: Sequence[str]) -> int:
    widths = sorted(map(_width, texts))
    return widths[len(widths) * 9 // 10] if widths else 0


def _between(before: _Line, line: _Line, usual: int, words: frozenset[str]) -> str:
    """What joins two lines: nothing, a space, a new line or a new paragraph."""
    if before.level == line.level == 0 and before.page == line.page:
        return _space(before.text, line.text)
    if before.level is not None or line.level is not None:
        return "\n\n"
    goes_on = line.text[0].islower() or _width(before.text) >= _FULL * usual
    if not goes_on:
        return "\n\n" if ends_sentence(before.text) else "\n"
    if before.text.endswith("-") and line.text[0].islower():
        return "" if _hyphen_belongs(before.text, line.text, words) else "\b"
    cut = re.search(r"\w-$", before.text[-2:]) and line.text[0].isalnum()  # COVID-19
    return "" if cut else _space(before.text, line.text)


def _space(before: str, after: str) -> str:
    return "" if _UNSPACED.match(before[-1]) or _UNSPACED.match(after[0]) else " "


def _hyphen_belongs(before: str, after: str, words: frozenset[str]) -> bool:
    """Whether the word cut at the line's end has a hyphen of its own, going by the rest of the document."""
    head, tail = re.search(r"(?<![\w-])[\w-]*-$", before), re.match(r"[\w-]+", after)
    whole = f"{head[0] if head else ''}{tail[0] if tail else ''}".lower()
    return whole in words and whole.replace("-", "") not in words
