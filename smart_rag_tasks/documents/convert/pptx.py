"""PPTX becomes Markdown through kreuzberg; a slide is a page."""

from __future__ import annotations

import re
from typing import Final

import kreuzberg as library

from ..converted import Converted
from .archive import Archive, pack
from .kreuzberg import extract, title_of
from .stand_ins import hidden_in

_MIME: Final = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

#: Noncharacters that no text has (Unicode 23.7), around a slide's number.
_MARK: Final = "\n\n\U0001fffe{page_num}\U0001ffff\n\n"
_SLIDE: Final = re.compile("\U0001fffe(\\d+)\U0001ffff")
_PARTS: Final = re.compile(r"ppt/(slides|notesSlides)/[^/]+\.xml")


def convert_pptx(data: bytes, max_bytes: int) -> Converted:
    """Titles, text, tables and speaker notes, slide by slide."""
    archive = Archive(data, max_bytes)
    packed = pack(archive, {name: hidden_in(archive.text(name)) for name in archive.names if _PARTS.fullmatch(name)})
    title = ""
    slides: dict[int, str] = {}
    # Markdown has the titles as headings, plain text the speaker notes as well.
    for form in ("markdown", "plain"):
        result = extract(
            packed,
            _MIME,
            output_format=form,
            pages=library.PageConfig(extract_pages=True, insert_page_markers=True, marker_format=_MARK),
        )
        title = title_of(result.metadata)
        for number, text in _by_slide(result.content):
            slides[number] = with_missing_lines(slides.get(number, ""), text) if form == "plain" else text
    return _joined(slides, title)


def _by_slide(content: str) -> list[tuple[int, str]]:
    parts = _SLIDE.split(content)
    return [(int(number), text.strip()) for number, text in zip(parts[1::2], parts[2::2], strict=True)]


def with_missing_lines(text: str, full: str) -> str:
    """``text`` and after it the lines of ``full`` that are not in it, the label of the notes apart."""
    known = "".join(text.split())
    missing = [line for line in full.splitlines() if "".join(line.split()) not in known and line != "Notes:"]
    return "\n\n".join([text, *missing]) if missing else text


def _joined(slides: dict[int, str], title: str) -> Converted:
    text, pages = "", []
    for number, slide in sorted(slides.items()):
        if slide:
            text += "\n\n" if text else ""
            pages.append((len(text), number))
            text += slide
    return Converted(text, "markdown", title, pages=tuple(pages), pages_apart=True)
