"""Output for people and machines: tables that fit 80 columns, JSON on request, colours only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..models import Json

#: Columns when the output is not a terminal.
WIDTH = 80

#: Documents below a table of which is said what went wrong.
REASONS = 10

COLOURS = {
    "completed": "green",
    "completed_with_errors": "yellow",
    "failed": "red",
    "quarantined": "red",
    "cancelled": "magenta",
    "deleted": "magenta",
    "running": "cyan",
    "queued": "blue",
    "paused": "magenta",
    "empty": "yellow",
    "done": "green",
    "unchanged": "green",
    "refused": "red",
}


def console() -> Console:
    """Standard output; names are printed as they are, not read as markup."""
    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else WIDTH)


def errors() -> Console:
    """Standard error: progress, warnings, what is not data."""
    width = None if sys.stderr.isatty() else WIDTH
    return Console(stderr=True, highlight=False, markup=False, emoji=False, width=width)


def hanging(head: str | Text, detail: str) -> Text:
    """A line that goes on, where it is too long for the screen, below the detail's own beginning; words stay whole."""
    head = Text.assemble(head)
    width = max(console().width - head.cell_len, 20)
    lines = [""]
    for word in printable(detail).split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and cell_len(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return Text.assemble(head, ("\n" + " " * head.cell_len).join(lines))


def speaks_utf8() -> bool:
    """Whether standard output takes every character."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def print_json(value: Any) -> None:
    """One JSON document on standard output; bytes of names that are not UTF-8 as JSON's escapes."""
    sys.stdout.write(_as_json(value) + "\n")
    sys.stdout.flush()


def print_json_array(values: Iterable[Any]) -> None:
    """What `print_json` prints of a list, item by item: there may be more than should be in memory."""
    before = "["
    for value in values:
        sys.stdout.write(before + "\n  " + _as_json(value).replace("\n", "\n  "))
        before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")
    sys.stdout.flush()


def _as_json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=not speaks_utf8(), indent=2, default=str)
    return text.encode("utf-8", "backslashreplace").decode()


def say(as_json: bool, sentence: str, **facts: Any) -> None:
    """The outcome of a command: a sentence for people, or the facts as JSON."""
    if as_json:
        print_json(facts)
    else:
        console().print(printable(sentence), soft_wrap=True)


def refusal(path: Path, reason: str) -> str:
    """The line for a file that is not taken: its name, if the reason does not say it, and why."""
    from ..documents.files import shown

    return f"refused  {reason if shown(Path(path.name)) in reason else f'{shown(path)}: {reason}'}"


def reasons(records: Sequence[Json]) -> list[Text]:
    """A line for each of these documents whose run broke off, or lost chunks, as far as the record says why."""
    lines = [
        Text(printable(f"{record['document_id']}: {reason}"), style="red")
        for record in records
        if (reason := record["reason"] or _lost(record))
    ]
    more = len(lines) - REASONS
    return [*lines[:REASONS], Text(f"… {more:,} more: --json says all")] if more > 0 else lines


def _lost(record: Json) -> str:
    error = record.get("first_error")
    return f"{several(record['failed'], 'chunk')} failed, the first with {error}" if error else ""


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text("with errors" if status == "completed_with_errors" else status, style=COLOURS.get(status, ""))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> Table:
    """A table without frame, as wide as the console; ``>x`` is aligned right, ``*x`` shares the room that is left
    (``**x`` gets twice as much), all other columns are never cut.
    """
    wide = any(name.startswith("*") for name in columns)
    made = Table(title=title, box=None, padding=(0, 1), pad_edge=False, title_justify="left", header_style="bold")
    made.expand = wide
    for name in columns:
        made.add_column(
            name.strip(">*"),
            justify="right" if name.startswith(">") else "left",
            ratio=name.count("*") or None,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(printable(str(cell))) for cell in row))
    return made


def printable(text: str) -> str:
    """The text without characters that a terminal would obey; names of files and documents may hold such."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def several(count: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def counts(record: Json) -> str:
    """``12`` chunks, ``7/12`` if not all of them are settled."""
    return f"{record['done']}/{record['total']}" if record["done"] < record["total"] else str(record["total"])
