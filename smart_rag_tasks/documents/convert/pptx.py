"""PPTX becomes Markdown through kreuzberg; a slide is a page."""

from __future__ import annotations

import re
import string
from typing import Final

import kreuzberg as library

from ..converted import Converted
from .archive import Archive, local_name, pack
from .kreuzberg import extract, title_of, unescaped, without_bare_images
from .office_xml import OfficeXml
from .package import main_part, relations, relations_part
from .stand_ins import hidden

_MIME: Final = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

#: Noncharacters that no text has (Unicode 23.7), around a slide's number.
_MARK: Final = "\n\n\U0001fffe{page_num}\U0001ffff\n\n"
#: Folders whose parts get other names.
_RENAMED: Final = ("ppt/slides/", "ppt/notesSlides/")
_SLIDE: Final = re.compile("\U0001fffe(\\d+)\U0001ffff")
#: What kreuzberg writes before speaker notes. A colon of the slide's own is stood in for.
_NOTES: Final = "Notes:"
#: What kreuzberg writes for a presentation without text.
_NO_TEXT: Final = re.compile(r"^-----$", re.M)
_MARKUP: Final = re.compile(f"[\\s{re.escape(string.punctuation)}]+")


#: Elements of which no text is read: looks, and fields, which are the number and the date on every slide.
_UNREAD: Final = frozenset({"a:rPr", "a:endParaRPr", "a:fld"})
#: Around the parts of an equation that is written in a line.
_BEFORE: Final = {"a:br": " ", "m:den": "/", "m:sup": "^", "m:d": "("}
_AFTER: Final = {"m:d": ")"}


class _Piece(str):
    """Text of a paragraph."""


class _Slide(OfficeXml):
    """Each paragraph as one run: kreuzberg 4.10 puts a space between two, tears the marks of bold, drops equations."""

    def __init__(self) -> None:
        super().__init__()
        #: Where in ``out`` the open paragraph begins.
        self._begin = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name in _UNREAD or (name.startswith("m:") and name.endswith("Pr")):
            self.skip()
        elif _is_inside_paragraph(name):
            if name in _BEFORE:
                self.write(_BEFORE[name])
        else:
            super().start(name, attributes)
            if name == "a:p":
                self._begin = len(self.out)

    def end(self, name: str) -> None:
        if _is_inside_paragraph(name):
            if name in _AFTER:
                self.write(_AFTER[name])
            return
        if name == "a:p":
            found = self.out[self._begin :]
            pieces = [each for each in found if isinstance(each, _Piece)]
            if pieces:
                others = [each for each in found if not isinstance(each, _Piece)]
                self.out[self._begin :] = [*others, "<a:r><a:t>", *pieces, "</a:t></a:r>"]
        super().end(name)

    def write(self, text: str) -> None:
        self._close_tag()
        self.out.append(_Piece(hidden(text)))


def _is_inside_paragraph(name: str) -> bool:
    return name in ("a:r", "a:t", "a:br", "a14:m") or name.startswith("m:")


def convert_pptx(data: bytes, max_bytes: int) -> Converted:
    """Titles, text, tables and speaker notes, slide by slide."""
    archive = Archive(data, max_bytes)
    packed = pack(_by_place(archive))
    # Markdown has the titles as headings, plain text the speaker notes as well.
    markdown, title = _slides_as("markdown", packed)
    plain, _ = _slides_as("plain", packed)
    numbers = sorted(markdown.keys() | plain.keys())
    return _joined({number: _together(markdown.get(number, ""), plain.get(number, "")) for number in numbers}, title)


def _slides_as(form: str, packed: bytes) -> tuple[dict[int, str], str]:
    """(each slide's text by its number, the presentation's title)."""
    result = extract(
        packed,
        _MIME,
        output_format=form,
        pages=library.PageConfig(extract_pages=True, insert_page_markers=True, marker_format=_MARK),
    )
    parts = _SLIDE.split(result.content)
    slides = {int(number): text.strip() for number, text in zip(parts[1::2], parts[2::2], strict=True)}
    return slides, title_of(result.metadata)


def _by_place(archive: Archive) -> dict[str, bytes | str]:
    """The parts, each slide and its notes with its place in their names: kreuzberg goes by these alone."""
    main = main_part(archive)
    parts = {name: content for name, content in archive.texts().items() if not name.startswith(_RENAMED)}
    parts.pop(relations_part(main), None)
    for place, slide in enumerate(_slides(archive, main), 1):
        parts[f"ppt/slides/slide{place}.xml"] = _Slide().rewritten(archive.read(slide))
        for relation in relations(archive, slide):
            if relation.kind == "notesSlide":
                parts[f"ppt/notesSlides/notesSlide{place}.xml"] = _Slide().rewritten(archive.read(relation.target))
    return parts


def _slides(archive: Archive, main: str) -> list[str]:
    """The parts of the slides in the order in which they are shown."""
    targets = {relation.id: relation.target for relation in relations(archive, main) if relation.kind == "slide"}
    listed = (element.attrib for element in archive.xml(main).iter() if local_name(element) == "sldId")
    return [targets.get(id_, "") for each in listed for name, id_ in each.items() if name.endswith("}id")]


def _together(markdown: str, plain: str) -> str:
    """A slide's Markdown, what only its plain text has, and its notes."""
    markdown = without_bare_images(_NO_TEXT.sub("", unescaped(markdown)))
    shown, _, notes = plain.partition(_NOTES)
    known = _bare(markdown)
    missing = (line for line in shown.splitlines() if _bare(line) not in known)
    return "\n\n".join(filter(None, (markdown, *missing, notes.strip())))


def _bare(text: str) -> str:
    """The text without spaces and marks; its own punctuation is stood in for."""
    return _MARKUP.sub("", text)


def _joined(slides: dict[int, str], title: str) -> Converted:
    text, pages = "", []
    for number, slide in slides.items():
        if slide:
            text += "\n\n" if text else ""
            pages.append((len(text), number))
            text += slide
    return Converted(text, "markdown", title, pages=tuple(pages), pages_apart=True)
