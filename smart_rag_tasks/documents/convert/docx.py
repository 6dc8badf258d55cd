"""DOCX becomes Markdown through kreuzberg, which loses some characters unless they are put differently."""

from __future__ import annotations

import re
from typing import Final

import kreuzberg as library

from ..converted import Converted
from .archive import Archive, pack
from .kreuzberg import extract, title_of
from .package import main_part, relations
from .stand_ins import hidden_in

_MIME: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

#: kreuzberg 4.10 drops these elements, which join two words when they go. A tab with attributes is only a tab stop.
_SPACE: Final = re.compile(r"<w:(?:tab\s*|ptab[^>]*|cr\s*)/>")
_HYPHEN: Final = re.compile(r"<w:noBreakHyphen\s*/>")
#: Parts that kreuzberg finds by their usual names only.
_KINDS: Final = ("styles", "numbering", "footnotes", "endnotes")


def convert_docx(data: bytes, max_bytes: int) -> Converted:
    """The body, tables, text boxes, footnotes and endnotes; a DOCX has no fixed pages."""
    archive = Archive(data, max_bytes)
    parts = {usual: _spelt_out(archive.text(name)) for usual, name in _parts(archive).items()}
    result = extract(
        pack(archive.texts() | parts),
        _MIME,
        output_format="markdown",
        pages=library.PageConfig(extract_pages=True),
    )
    # The pages' text has all notes and no backslashes; `content` loses a footnote that shares an endnote's number.
    text = "\n\n".join(page["content"] for page in result.pages or ()) or result.content
    return Converted(text, "markdown", title_of(result.metadata))


def _parts(archive: Archive) -> dict[str, str]:
    """The usual name of each part: the name that it has here."""
    main = main_part(archive)
    related = {each.kind: each.target for each in relations(archive, main) if each.target in archive.names}
    return {"word/document.xml": main} | {f"word/{kind}.xml": related[kind] for kind in _KINDS if kind in related}


def _spelt_out(xml: str) -> str:
    xml = _SPACE.sub('<w:t xml:space="preserve"> </w:t>', xml)
    return hidden_in(_HYPHEN.sub("<w:t>-</w:t>", xml))
