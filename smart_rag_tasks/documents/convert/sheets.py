"""The sheets of a PDF are made plain: text upright, corner at the origin, form fields part of the page.

kreuzberg 4.10 takes from a page what lies between (0, 0) and its width and height, in the page's own coordinates: where
a box begins elsewhere that is not what is shown. It joins lines that run up or down the page without a space, the last
first; and of a form it takes the labels only. PDFium, which it reads with, rewrites such pages here before.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from typing import Final

import pypdfium2 as library
from pypdfium2 import raw

#: What a reader sees beside a page's own content, and may hold text.
_WITH_TEXT: Final = (raw.FPDF_ANNOT_WIDGET, raw.FPDF_ANNOT_FREETEXT)
#: Points that a page's corner may be off the origin.
_AT_ORIGIN: Final = 0.01
#: Characters, from all of a page, that tell how its text runs.
_SAMPLE: Final = 1_000


def plain_sheets(data: bytes) -> bytes:
    """The same document, with the pages that need it rewritten; the same bytes where none does."""
    try:
        with library.PdfDocument(data) as document:
            document.init_forms()
            rewritten = sum(_made_plain(document, index) for index in range(len(document)))
            if not rewritten:
                return data
            saved = io.BytesIO()
            document.save(saved, flags=raw.FPDF_REMOVE_SECURITY)
            return saved.getvalue()
    except library.PdfiumError:
        return data  # a password, damage: kreuzberg says what it is


def _made_plain(document: library.PdfDocument, index: int) -> bool:
    """Whether there was anything to do on the page."""
    page = document[index]
    flat = _has_text_beside(page) and raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY) == raw.FLATTEN_SUCCESS
    if flat:
        page.close()
        page = document[index]
    upright = _set_upright(page)
    page.close()
    return flat or upright


def _has_text_beside(page: library.PdfPage) -> bool:
    for index in range(raw.FPDFPage_GetAnnotCount(page)):
        note = raw.FPDFPage_GetAnnot(page, index)
        kind = raw.FPDFAnnot_GetSubtype(note)
        raw.FPDFPage_CloseAnnot(note)
        if kind in _WITH_TEXT:
            return True
    return False


def _set_upright(page: library.PdfPage) -> bool:
    """Turns and moves what is shown of the page to where kreuzberg looks; whether that was elsewhere."""
    left, bottom, right, top = page.get_bbox()
    turn = _turn(page)
    if not page.get_rotation() and not turn and max(abs(left), abs(bottom)) < _AT_ORIGIN:
        return False
    # ISO 32000-1, 8.3.4: x' = a x + c y + e, y' = b x + d y + f; clockwise.
    matrix = {
        0: (1, 0, 0, 1, -left, -bottom),
        90: (0, -1, 1, 0, -bottom, right),
        180: (-1, 0, 0, -1, right, top),
        270: (0, 1, -1, 0, top, -left),
    }[turn]
    size = (right - left, top - bottom) if turn in (0, 180) else (top - bottom, right - left)
    raw.FPDFPage_TransFormWithClip(page, raw.FS_MATRIX(*matrix), None)
    page.set_rotation(0)
    page.set_mediabox(0, 0, *size)
    page.set_cropbox(0, 0, *size)
    return True


def _turn(page: library.PdfPage) -> int:
    """Degrees clockwise by which most of the text comes upright: some pages are sideways, with /Rotate or without."""
    text = page.get_textpage()
    count = text.count_chars()
    angles = (raw.FPDFText_GetCharAngle(text, index) for index in range(0, count, count // _SAMPLE + 1))
    # The angle says how far clockwise a character was turned already.
    turns = Counter(-round(angle / (math.pi / 2)) % 4 * 90 for angle in angles)
    text.close()
    return max(turns, key=turns.__getitem__, default=0)
