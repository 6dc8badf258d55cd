"""The title of a PDF as it is printed: kreuzberg finds it in some files only, and of several lines the last."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from statistics import median
from typing import Final

import pypdfium2 as library
from pypdfium2 import raw

from ..headings import heading_level
from .flow import squeeze

#: How much larger than most characters of its page those of a title are at least.
_LARGER: Final = 1.2
#: Of the size of its first line: what other lines may differ, and how far one may be below the other.
_ALIKE: Final = 0.05
_LEADING: Final = 1.8
#: Characters that a title ends within, and from all of a page such that tell how large most are.
_MAX_TITLE: Final = 300
_SAMPLE: Final = 500


def printed_title(data: bytes) -> list[str]:
    """The lines that a document begins with, where they are in larger type than most of the page."""
    try:
        with library.PdfDocument(data) as document:
            return _large_lines(document[0].get_textpage())
    except library.PdfiumError:
        return []


def _large_lines(page: library.PdfTextPage) -> list[str]:
    count = page.count_chars()
    usual = median([_size(page, index) for index in range(0, count, count // _SAMPLE + 1)] or [0.0])
    found, first, above = list[str](), 0.0, 0.0
    for line, size, base in _lines(page):
        first, above = first or size, above or base
        goes_on = abs(size - first) <= _ALIKE * first and above - base <= _LEADING * first
        if size < _LARGER * usual or not goes_on or heading_level(line):
            break
        found.append(line)
        above = base
    return found if any(char.isalpha() for line in found for char in line) else []


def _lines(page: library.PdfTextPage) -> Iterator[tuple[str, float, float]]:
    """(text, size of most of it, where it stands on the page) of each line at the beginning."""
    line, marks = "", list[int]()
    for index in range(min(page.count_chars(), _MAX_TITLE)):
        char = chr(raw.FPDFText_GetUnicode(page, index))
        line += char
        if char == "\n" and marks:
            yield squeeze(line), median(_size(page, mark) for mark in marks), _base(page, marks[0])
            line, marks = "", []
        elif not char.isspace():
            marks.append(index)


def _size(page: library.PdfTextPage, index: int) -> float:
    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(page, index, matrix)
    size: float = raw.FPDFText_GetFontSize(page, index)
    return size * math.hypot(matrix.c, matrix.d)


def _base(page: library.PdfTextPage, index: int) -> float:
    x, y = ctypes.c_double(), ctypes.c_double()
    raw.FPDFText_GetCharOrigin(page, index, x, y)
    return y.value
