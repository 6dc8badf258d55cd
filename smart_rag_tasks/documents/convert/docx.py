"""DOCX becomes Markdown through kreuzberg, which loses some characters unless they are put differently."""

from __future__ import annotations

import re
from typing import Final

import kreuzberg as library

from ..converted import Converted
from .archive import Archive, pack
from .kreuzberg import extract, title_of, without_bare_images, without_padding
from .office_xml import OfficeXml
from .package import main_part, relations
from .stand_ins import hidden
from .symbols import character

_MIME: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

#: A noncharacter that no text has (Unicode 23.7), where a line ends inside a paragraph: kreuzberg 4.10 drops page
#: breaks, which joins two words, and puts other breaks into headings and rows of tables, which ends them.
_BREAK: Final = "\U0001fffe"
_BREAKS: Final = re.compile(f" *(?:{_BREAK} *)+")
_MARKED_BREAK: Final = re.compile(rf"(\*+|~~)({_BREAK}+)\1")
#: What is not there any more: deleted text, or moved to where it is a ``w:moveTo``, and a paragraph's former style.
_GONE: Final = frozenset({"w:del", "w:moveFrom", "w:pPrChange"})
#: Outline levels of headings, and a style for each; the next, 9, is that of text.
_OUTLINE: Final = {str(level): f"Heading{level + 1}" for level in range(9)}
#: Parts that kreuzberg finds by their usual names only.
_KINDS: Final = ("styles", "numbering", "footnotes", "endnotes")


def convert_docx(data: bytes, max_bytes: int) -> Converted:
    """The body, tables, text boxes, footnotes and endnotes; a DOCX has no fixed pages."""
    archive = Archive(data, max_bytes)
    parts = {usual: _Word().rewritten(archive.read(name)) for usual, name in _parts(archive).items()}
    result = extract(
        pack(archive.texts() | parts),
        _MIME,
        output_format="markdown",
        pages=library.PageConfig(extract_pages=True),
    )
    # The pages' text has all notes and no backslashes; `content` loses a footnote that shares an endnote's number.
    text = "\n\n".join(page["content"] for page in result.pages or ()) or result.content
    return Converted(without_bare_images(without_padding(_with_breaks(text))), "markdown", title_of(result.metadata))


def _with_breaks(markdown: str) -> str:
    """Markdown with its breaks as ends of lines; a heading and a row of a table stay in one."""
    if _BREAK not in markdown:
        return markdown
    lines = (
        _BREAKS.sub(" " if line.startswith(("#", "|")) else "\n", line).lstrip("\n").rstrip()
        for line in _MARKED_BREAK.sub(r"\2", markdown).split("\n")
    )
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def _parts(archive: Archive) -> dict[str, str]:
    """The usual name of each part: the name that it has here."""
    main = main_part(archive)
    related = {each.kind: each.target for each in relations(archive, main) if each.target in archive.names}
    return {"word/document.xml": main} | {f"word/{kind}.xml": related[kind] for kind in _KINDS if kind in related}


def _run(text: str) -> str:
    return f"<w:r><w:t>{hidden(text)}</w:t></w:r>"


class _Box(str):
    """The content of a text box."""


class _Word(OfficeXml):
    """Puts what kreuzberg 4.10 loses in another way, and leaves out what was deleted.

    Of a paragraph that a text box is anchored in kreuzberg gives the box alone, so the box's paragraphs are put
    after it. A reading (pinyin) stands before its characters in the file, and after them in the text.
    """

    def __init__(self) -> None:
        super().__init__()
        #: Where in ``out`` each open paragraph begins, and how many boxes there were before.
        self._paragraphs: list[tuple[int, int]] = []
        self._boxes = 0
        #: Ids of the styles.
        self._styles: set[str] = set()
        #: How the characters that follow are pronounced.
        self._reading: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        text = _text_for(name, attributes)
        if text is not None:
            self.skip()
            self.put(text)
        elif name in ("w:txbxContent", "w:rt"):
            self.begin_apart()
        elif name == "w:outlineLvl" and self._paragraphs and attributes.get("w:val") in _OUTLINE:
            super().start("w:pStyle", {"w:val": _OUTLINE[attributes["w:val"]]})
        else:
            super().start(name, attributes)
            if name == "w:style":
                self._styles.add(attributes.get("w:styleId", ""))
            elif name == "w:p":
                self._paragraphs.append((len(self.out), self._boxes))

    def end(self, name: str) -> None:
        if name == "w:txbxContent":
            box = _Box("".join(self.end_apart()))
            self.out.append(box)
            self._boxes += 1
            return
        if name == "w:rt":
            self._reading = self.end_apart()
            return
        if name == "w:styles":
            self._add_styles()
        super().end(name)
        if name == "w:ruby" and self._reading:
            self.out += [_run("("), *self._reading, _run(")")]
            self._reading = []
        if name == "w:p":
            begin, before = self._paragraphs.pop()
            if self._boxes > before:
                boxes = [each for each in self.out[begin:] if isinstance(each, _Box)]
                self.out[begin:] = [each for each in self.out[begin:] if not isinstance(each, _Box)]
                self.out += map(str, boxes)

    def _add_styles(self) -> None:
        """Styles for outline levels that paragraphs have without a style: kreuzberg knows no others."""
        self._close_tag()
        for level, style in _OUTLINE.items():
            if style not in self._styles:
                self.out.append(
                    f'<w:style w:type="paragraph" w:styleId="{style}">'
                    f'<w:pPr><w:outlineLvl w:val="{level}"/></w:pPr></w:style>'
                )


def _text_for(name: str, attributes: dict[str, str]) -> str | None:
    """What is written in an element's place; None where it stays."""
    if name in _GONE:
        return ""
    if name in ("w:br", "w:cr"):
        return _BREAK
    # A tab with attributes is only a tab stop.
    if name == "w:ptab" or (name == "w:tab" and not attributes):
        return " "
    if name == "w:sym":
        return character(attributes.get("w:font", ""), attributes.get("w:char", ""))
    return "-" if name == "w:noBreakHyphen" else None
