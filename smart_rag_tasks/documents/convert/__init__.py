"""Formats that need kreuzberg become one text. Runs in the converter process only (:mod:`..isolation`).

Each module takes bytes and the most bytes that a container may expand to, gives a Converted, and raises
errors whose message does not name the file: :func:`..parse.parse_file` puts the name before it.
"""

from __future__ import annotations

from ..converted import Converted
from .stand_ins import shown


def convert(kind: str, data: bytes, max_bytes: int) -> Converted:
    """``kind`` is one of html, pdf, docx, pptx, epub; raises a DocumentError."""
    if kind == "html":
        from .html import convert_html as converter
    elif kind == "pdf":
        from .pdf import convert_pdf as converter
    elif kind == "docx":
        from .docx import convert_docx as converter
    elif kind == "pptx":
        from .pptx import convert_pptx as converter
    else:
        from .epub import convert_epub as converter
    return shown(converter(data, max_bytes))
