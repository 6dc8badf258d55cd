"""DOCX becomes Markdown through kreuzberg, which loses some characters unless they are put differently."""

from __future__ import annotations

import re
from typing import Final

import kreuzberg as library

from ..converted import Converted
from .archive import Archive, pack
from .kreuzberg import extract, title_of

_MIME: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

#: kreuzberg 4.10 drops ``&amp; &lt; &gt;`` from the text (its issue 1242): they travel as noncharacters, which
#: no text has (Unicode 23.7).
_STAND_INS: Final = (("&amp;", "\ufdd0", "&"), ("&lt;", "\ufdd1", "<"), ("&gt;", "\ufdd2", ">"))
#: It also drops these elements, which join two words when they go.
_ELEMENTS: Final = (
    ("<w:tab/>", '<w:t xml:space="preserve"> </w:t>'),
    ("<w:noBreakHyphen/>", "<w:t>-</w:t>"),
)
_PARTS: Final = re.compile(r"word/(document|footnotes|endnotes|comments)\d*\.xml")


def convert_docx(data: bytes, max_bytes: int) -> Converted:
    """The body, tables, text boxes, footnotes and endnotes; a DOCX has no fixed pages."""
    archive = Archive(data, max_bytes)
    parts = {name: _spelt_out(archive.text(name)) for name in archive.names if _PARTS.fullmatch(name)}
    result = extract(
        pack(archive, parts),
        _MIME,
        output_format="markdown",
        pages=library.PageConfig(extract_pages=True),
    )
    # The pages' text has all notes and no backslashes; `content` loses a footnote that shares an endnote's number.
    text = "\n\n".join(page["content"] for page in result.pages or ()) or result.content
    for _, stand_in, char in _STAND_INS:
        text = text.replace(stand_in, char)
    return Converted(text, "markdown", title_of(result.metadata))


def _spelt_out(xml: str) -> str:
    for entity, stand_in, _ in _STAND_INS:
        xml = xml.replace(entity, stand_in)
    for element, instead in _ELEMENTS:
        xml = xml.replace(element, instead)
    return re.sub(r"&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));", _character, xml)


def _character(match: re.Match[str]) -> str:
    number = int(match[1], 16) if match[1] else int(match[2])
    char = chr(number) if number <= 0x10FFFF else ""
    stand_in = next((stand_in for _, stand_in, known in _STAND_INS if known == char), char)
    return stand_in if char >= " " and not "\ud800" <= char <= "\udfff" else " "
