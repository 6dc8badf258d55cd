"""PPTX becomes Markdown through kreuzberg; a slide is a page."""

from __future__ import annotations

import re
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
#: What kreuzberg writes for a presentation without text.
_NO_TEXT: Final = re.compile(r"^-----$", re.M)
#: Elements of which no text is read: looks, and fields, which are the number and the date on every slide.
_UNREAD: Final = frozenset({"a:rPr", "a:endParaRPr", "a:fld"})
#: Placeholders of what most slides have: their text is read once.
_FOOTERS: Final = frozenset({"dt", "ftr", "hdr", "sldNum"})
_TEXT: Final = re.compile("<a:t>([^<]*)")
#: Around the parts of an equation that is written in a line.
_BEFORE: Final = {"a:br": " ", "m:den": "/", "m:sup": "^", "m:d": "("}
_AFTER: Final = {"m:d": ")"}


class _Piece(str):
    """Text of a paragraph."""


class _Slide(OfficeXml):
    """Each paragraph as one run: kreuzberg 4.10 puts a space between two, tears the marks of bold, drops equations.

    A footer whose text is in ``seen`` is left out.
    """

    def __init__(self, seen: set[str]) -> None:
        super().__init__()
        self._seen = seen
        self._in_footer = False
        #: Where in ``out`` the open paragraph begins.
        self._begin = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "p:sp":
            self.begin_apart()
            self._in_footer = False
        elif name == "p:ph":
            self._in_footer = attributes.get("type") in _FOOTERS
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
        if name == "p:sp":
            self._end_shape("".join(self.end_apart()))

    def _end_shape(self, xml: str) -> None:
        text = _paragraphs(xml) if self._in_footer else ""
        if text not in self._seen:
            self.out.append(xml)
        if text:
            self._seen.add(text)

    def write(self, text: str) -> None:
        self._close_tag()
        self.out.append(_Piece(hidden(text)))


def _is_inside_paragraph(name: str) -> bool:
    return name in ("a:r", "a:t", "a:br", "a14:m") or name.startswith("m:")


def convert_pptx(data: bytes, max_bytes: int) -> Converted:
    """Titles, text, tables and speaker notes, slide by slide."""
    archive = Archive(data, max_bytes)
    parts, notes = _by_place(archive)
    result = extract(
        pack(parts),
        _MIME,
        output_format="markdown",
        pages=library.PageConfig(extract_pages=True, insert_page_markers=True, marker_format=_MARK),
    )
    _, *found = _SLIDE.split(result.content)
    shown = {int(number): _shown(text) for number, text in zip(found[::2], found[1::2], strict=True)}
    slides = {n: "\n\n".join(filter(None, (shown.get(n), notes.get(n)))) for n in sorted(shown.keys() | notes.keys())}
    return _joined(slides, title_of(result.metadata))


def _shown(markdown: str) -> str:
    """What kreuzberg gives of a slide, less what is not text."""
    return without_bare_images(_NO_TEXT.sub("", unescaped(markdown.strip())))


def _by_place(archive: Archive) -> tuple[dict[str, bytes | str], dict[int, str]]:
    """(the parts, each slide with its place in its name: kreuzberg goes by that alone; the notes by slide)."""
    notes: dict[int, str] = {}
    footers: set[str] = set()
    main = main_part(archive)
    parts = {name: content for name, content in archive.texts().items() if not name.startswith(_RENAMED)}
    parts.pop(relations_part(main), None)
    for place, slide in enumerate(_slides(archive, main), 1):
        parts[f"ppt/slides/slide{place}.xml"] = _Slide(footers).rewritten(archive.read(slide))
        for relation in relations(archive, slide):
            if relation.kind == "notesSlide":
                notes[place] = _paragraphs(_Slide(footers).rewritten(archive.read(relation.target)))
    return parts, notes


def _paragraphs(xml: str) -> str:
    """The text of a part that has been written anew."""
    return "\n\n".join(filter(None, (text.strip() for text in _TEXT.findall(xml))))


def _slides(archive: Archive, main: str) -> list[str]:
    """The parts of the slides in the order in which they are shown."""
    targets = {relation.id: relation.target for relation in relations(archive, main) if relation.kind == "slide"}
    listed = (element.attrib for element in archive.xml(main).iter() if local_name(element) == "sldId")
    return [targets.get(id_, "") for each in listed for name, id_ in each.items() if name.endswith("}id")]


def _joined(slides: dict[int, str], title: str) -> Converted:
    text, pages = "", []
    for number, slide in slides.items():
        if slide:
            text += "\n\n" if text else ""
            pages.append((len(text), number))
            text += slide
    return Converted(text, "markdown", title, pages=tuple(pages), pages_apart=True)
