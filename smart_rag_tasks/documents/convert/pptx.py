"""PPTX becomes Markdown through kreuzberg; a slide is a page."""

from __future__ import annotations

import re
from typing import Final

import kreuzberg as library

from ..converted import Converted
from .archive import Archive, local_name, pack
from .kreuzberg import extract, title_of, unescaped
from .package import main_part, relations, relations_part
from .stand_ins import hidden_in

_MIME: Final = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

#: Noncharacters that no text has (Unicode 23.7), around a slide's number.
_MARK: Final = "\n\n\U0001fffe{page_num}\U0001ffff\n\n"
#: Folders whose parts get other names.
_RENAMED: Final = ("ppt/slides/", "ppt/notesSlides/")
_SLIDE: Final = re.compile("\U0001fffe(\\d+)\U0001ffff")


def convert_pptx(data: bytes, max_bytes: int) -> Converted:
    """Titles, text, tables and speaker notes, slide by slide."""
    archive = Archive(data, max_bytes)
    packed = pack(_by_place(archive))
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
            slides[number] = with_missing_lines(slides.get(number, ""), text) if form == "plain" else unescaped(text)
    return _joined(slides, title)


def _by_place(archive: Archive) -> dict[str, bytes | str]:
    """The parts, each slide and its notes with its place in their names: kreuzberg goes by these alone."""
    main = main_part(archive)
    parts = {name: content for name, content in archive.texts().items() if not name.startswith(_RENAMED)}
    parts.pop(relations_part(main), None)
    for place, slide in enumerate(_slides(archive, main), 1):
        parts[f"ppt/slides/slide{place}.xml"] = hidden_in(archive.text(slide))
        for relation in relations(archive, slide):
            if relation.kind == "notesSlide":
                parts[f"ppt/notesSlides/notesSlide{place}.xml"] = hidden_in(archive.text(relation.target))
    return parts


def _slides(archive: Archive, main: str) -> list[str]:
    """The parts of the slides in the order in which they are shown."""
    targets = {relation.id: relation.target for relation in relations(archive, main) if relation.kind == "slide"}
    listed = (element.attrib for element in archive.xml(main).iter() if local_name(element) == "sldId")
    return [targets.get(id_, "") for each in listed for name, id_ in each.items() if name.endswith("}id")]


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
