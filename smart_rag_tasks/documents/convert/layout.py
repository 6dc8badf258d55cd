"""Tables that only lay out a page become its blocks: as rows of a table headings and paragraphs would not be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_CELL: Final = re.compile("<t[dh][ >]")
_TABLE_TAG: Final = re.compile("</?t(?:able|[rdh])[ >]")
_HEADING: Final = re.compile("<h[1-6]>")


class Gap(str):
    """Parts the text of a cell."""


@dataclass(slots=True)
class _Table:
    """A table that is open."""

    begin: int
    #: Of the last row.
    cells: int = 0
    columns: int = 0
    has_head: bool = False
    has_heading: bool = False


def without_layout(page: Sequence[str]) -> Iterator[str]:
    """The page (tags, each closed, and texts) with the cells of such tables as blocks."""
    layout = _layout_tables(page)
    # Of each open table whether it, and all around it, are such.
    inside: list[bool] = []
    for index, piece in enumerate(page):
        if piece == "<table>":
            inside.append(index in layout and all(inside[-1:]))
        parted = inside and inside[-1] and (isinstance(piece, Gap) or _TABLE_TAG.match(piece))
        yield "<p></p>" if parted else piece
        if piece == "</table>":
            inside.pop()


def _layout_tables(page: Sequence[str]) -> set[int]:
    """Where tables begin that are no data: without ``th``, and of one column or with headings."""
    found: set[int] = set()
    tables: list[_Table] = []
    for index, piece in enumerate(page):
        if piece == "<table>":
            tables.append(_Table(index))
        elif piece == "<tr>":
            tables[-1].cells = 0
        elif _CELL.match(piece):
            table = tables[-1]
            table.cells += 1
            table.columns = max(table.columns, table.cells)
            table.has_head = table.has_head or piece.startswith("<th")
        elif _HEADING.match(piece) and tables:
            tables[-1].has_heading = True
        elif piece == "</table>":
            table = tables.pop()
            if not table.has_head and (table.columns == 1 or table.has_heading):
                found.add(table.begin)
            if table.has_heading and tables:
                tables[-1].has_heading = True
    return found
