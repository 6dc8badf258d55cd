"""``status``, ``list``, ``show``, ``export``: what is done, what waits, what failed and why."""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..models import Json, RunStatus
from . import options

#: Documents that `list` shows if nothing else is asked for.
LISTED = 50

#: Topics that `show` shows.
TOPICS = 12


@click.command("status")
@click.argument("document", required=False)
@options.with_store
@click.option("--watch", is_flag=True, envvar="SMART_RAG_WATCH", show_envvar=True, help="Live, until all has ended.")
def status_command(document: str | None, store: str | None, as_json: bool, watch: bool) -> None:
    """How far DOCUMENT is, or all of them in numbers with those under way and those in trouble."""
    if watch and as_json:
        raise click.UsageError("--watch is for people: leave out --json, or ask again and again")
    options.find_store(store)
    from rich.live import Live

    from ..client import Client
    from . import output

    client = Client()
    if as_json:
        output.print_json(_status(client, document))
        return
    if not watch:
        output.console().print(_status_view(_status(client, document)))
        return
    now = _status(client, document)
    with Live(_status_view(now), console=output.console(), refresh_per_second=4) as live:
        while any(now["documents"].get(name, 0) for name in ("queued", "running")):
            time.sleep(0.5)
            now = client.env.store.patiently(partial(_status, client, document))
            live.update(_status_view(now))


def _status(client: Any, document: str | None) -> Json:
    """``documents`` by status, ``shown``: the one asked for or those under way or in trouble, how many ``more``."""
    from ..stages.control import find_document

    if document is not None:
        record = client.status(find_document(client.env, document))
        return {"documents": {record["status"]: 1}, "shown": [record], "more": 0}
    interesting = [RunStatus.RUNNING, RunStatus.QUEUED, RunStatus.PAUSED, RunStatus.FAILED]
    interesting.append(RunStatus.COMPLETED_WITH_ERRORS)
    shown = [record for status in interesting for record in client.statuses(status=status, limit=10)]
    counts = client.counts()
    more = max(0, sum(counts.get(status, 0) for status in interesting) - len(shown))
    return {"documents": counts, "shown": shown, "more": more}


def _status_view(status: Json) -> Any:
    from rich.console import Group
    from rich.text import Text

    from . import output

    counted = ", ".join(f"{count:,} {name}" for name, count in sorted(status["documents"].items()))
    sentence = Text(f"Documents: {counted or 'none yet; `smart-rag-tasks run PATH` adds some'}")
    if not status["shown"]:
        return sentence
    rows = [
        (
            record["document_id"],
            output.status_text(record["status"]),
            record["stage"],
            output.counts(record),
            record["failed"],
            f"{record['percent']:.0f} %",
            output.duration(record["seconds"]),
        )
        for record in status["shown"]
    ]
    columns = ("*Document", "Status", "Stage", ">Chunks", ">Failed", ">Done", ">Time")
    more = f"… {status['more']:,} more: `smart-rag-tasks list --status STATUS`" if status["more"] else ""
    below = output.reasons(status["shown"]) + ([Text(more)] if more else [])
    return Group(sentence, Text(""), output.table(columns, rows), *below)


@click.command("list")
@options.with_store
@click.option(
    "--status",
    type=click.Choice([status.value for status in RunStatus]),
    metavar="STATUS",
    envvar="SMART_RAG_LIST_STATUS",
    show_envvar=True,
    help=f"Only documents of this status: {', '.join(RunStatus)}.",
)
@click.option("--limit", type=click.IntRange(1), envvar="SMART_RAG_LIST_LIMIT", show_envvar=True,
              help="Documents at the most.  [default: 50; all with --json]")  # fmt: skip
def list_command(store: str | None, as_json: bool, status: str | None, limit: int | None) -> None:
    """Documents in the store, the newest first."""
    options.find_store(store)
    from ..client import Client
    from . import output

    client = Client()
    if as_json:
        output.print_json_array(client.each_status(status=status, limit=limit))
        return
    records = client.statuses(status=status, limit=limit or LISTED)
    if not records:
        output.console().print("No documents" + (f" with status {status}." if status else " yet."))
        return
    rows = [
        (
            record["document_id"],
            record["title"],
            output.counts(record),
            record["language"],
            output.status_text(record["status"]),
        )
        for record in records
    ]
    console = output.console()
    console.print(output.table(("*Document", "*Title", ">Chunks", "Lang", "Status"), rows))
    counts = client.counts()
    more = (counts.get(status, 0) if status else sum(counts.values())) - len(rows)
    if more > 0:
        console.print(f"… {more:,} more: --limit N shows N, --json all")


#: Chunks that `show` shows.
_SHOWN = 10


@click.command("show")
@options.document
@options.with_store
@click.option("--chunks", type=click.IntRange(0), envvar="SMART_RAG_SHOW_CHUNKS", show_envvar=True,
              help="Chunks to show; 0 for all.  [default: 10, with --json all]")  # fmt: skip
def show_command(document: str, store: str | None, as_json: bool, chunks: int | None) -> None:
    """The metadata of DOCUMENT (its id or a part of it), then its chunks with theirs."""
    options.find_store(store)
    from ..client import Client
    from ..stages.control import find_document
    from . import output

    client = Client()
    limit = (0 if as_json else _SHOWN) if chunks is None else chunks
    found = client.document(find_document(client.env, document), limit=limit or None)
    if as_json:
        output.print_json(found)
        return
    console = output.console()
    console.print(_document_view(found))
    for chunk in found["chunks"]:
        console.print(_chunk_view(chunk))
    more = found["total"] - len(found["chunks"])
    if more:
        console.print(f"… {more} chunks more: --chunks 0 shows all", style="dim")


def _fields(pairs: list[tuple[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    from . import output

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, value in pairs:
        if value:
            grid.add_row(name, value if isinstance(value, Text) else Text(output.printable(str(value))))
    return grid


def _document_view(found: Json) -> Any:
    from . import output

    return _fields(
        [
            ("document", found["document_id"]),
            ("title", found["title"]),
            ("status", output.status_text(found["status"])),
            ("reason", found["reason"]),
            ("language", found["language"]),
            ("topics", _topics(found["topics"])),
            ("summary", found["summary"]),
            ("source", found["source"]),
            ("generator", found["provenance"]["fingerprint"]),
        ]
    )


def _topics(topics: list[str]) -> str:
    more = [f"… {len(topics) - TOPICS} more"] if len(topics) > TOPICS else []
    return ", ".join(topics[:TOPICS] + more)


def _chunk_view(chunk: Json) -> Any:
    from rich.console import Group
    from rich.text import Text

    from . import output

    place = " › ".join(chunk["section_path"]) + (f", page {chunk['page']}" if chunk["page"] else "")
    name = output.printable(place or chunk["chunk_id"])
    head = Text.assemble("\n", (f"{chunk['position'] + 1}  ", "bold"), (name, "bold"))
    meta = chunk["metadata"] or {}
    return Group(
        head,
        _fields(
            [
                ("status", output.status_text(chunk["status"]) if chunk["status"] != "done" else ""),
                ("error", f"{chunk['error']['kind']}: {chunk['error']['message']}" if chunk["error"] else ""),
                ("context", chunk["context"]),
                ("keywords", ", ".join(meta.get("keywords", ()))),
                ("summary", meta.get("summary")),
                ("entities", ", ".join(f"{item['text']} ({item['kind']})" for item in meta.get("entities", ())[:8])),
                ("questions", "\n".join(meta.get("questions", ()))),
                ("text", _start_of(chunk["text"])),
            ]
        ),
    )


def _start_of(text: str, characters: int = 150) -> str:
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1] + "…"


@click.command("export")
@click.argument("document", required=False)
@options.store
@click.option("--jsonl", "target", type=click.Path(dir_okay=False, allow_dash=True), default="-", show_default=True,
              is_flag=False, flag_value="-", envvar="SMART_RAG_EXPORT", show_envvar=True,
              help="File to write; - is standard output.")  # fmt: skip
@click.option("--json", is_flag=True, expose_value=False, envvar="SMART_RAG_JSON", show_envvar=True,
              help="What it prints anyway, a line a chunk.")  # fmt: skip
def export_command(document: str | None, store: str | None, target: str) -> None:
    """One JSON line a chunk: text, metadata, context, provenance. Of DOCUMENT, or of all."""
    options.find_store(store)
    from ..client import Client
    from ..stages.control import find_document
    from . import output

    client = Client()
    ids = [find_document(client.env, document)] if document else client.document_ids()
    with nullcontext(sys.stdout) if target == "-" else Path(target).open("w", encoding="utf-8") as out:
        for record in client.records(ids):
            out.write(json.dumps(record, ensure_ascii=target == "-" and not output.speaks_utf8()) + "\n")
