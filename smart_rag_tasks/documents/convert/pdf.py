"""PDF becomes running text: pages from kreuzberg, lines joined to paragraphs in :mod:`.flow`."""

from __future__ import annotations

from typing import Any

import kreuzberg as library

from ...errors import EmptyDocument, UnreadableDocument
from ..converted import Converted
from .flow import flow, squeeze
from .kreuzberg import extract, title_of
from .printed_title import printed_title
from .sheets import plain_sheets

#: The header may follow other bytes, but not many (ISO 32000-1, annex H, note 13).
_HEADER_WITHIN = 1024


def convert_pdf(data: bytes, max_bytes: int) -> Converted:
    """Pages are numbered as the file's sheets are, from 1."""
    if b"%PDF-" not in data[:_HEADER_WITHIN]:
        raise UnreadableDocument("is not a PDF; give the file its right suffix")
    plain = plain_sheets(data)
    result = extract(
        plain,
        "application/pdf",
        output_format="markdown",
        include_document_structure=True,
        pages=library.PageConfig(extract_pages=True),
    )
    # `content` is not used: as Markdown it takes prose for tables, as plain text it repeats tables at its end.
    pages = [(page["page_number"], page["content"].splitlines()) for page in result.pages or ()]
    if not any(line.strip() for _, lines in pages for line in lines):
        raise EmptyDocument("holds no text, perhaps it is a scan; run text recognition (OCR) over it first")
    headings = _heading_lines(result.document) | dict.fromkeys(printed_title(plain), 0)
    return flow(pages, headings, title_of(result.metadata))


def _heading_lines(structure: dict[str, Any] | None) -> dict[str, int]:
    """Level of each line that kreuzberg takes for a heading by its font; it finds them in some files only."""
    found: dict[str, int] = {}
    for node in (structure or {}).get("nodes", ()):
        content = node["content"]
        if content["node_type"] == "heading":
            found.update(dict.fromkeys(map(squeeze, content["text"].splitlines()), content["level"]))
    return found
