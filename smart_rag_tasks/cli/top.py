"""``top``: a live view of documents, queues, workers, rates and errors, made for 80 × 24 characters."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from . import options, output

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.text import Text

    from ..monitoring.overview import Overview

#: Documents by status, in the order of their life.
STATUSES = ("queued", "running", "paused", "completed", "completed_with_errors", "failed", "cancelled", "empty")


@click.command("top")
@options.with_store
@click.option("--every", type=click.FloatRange(0.5, 60), default=2.0, show_default=True, envvar="SMART_RAG_TOP_EVERY",
              show_envvar=True, metavar="SECONDS", help="Between two looks.")  # fmt: skip
@click.option("--once", is_flag=True, envvar="SMART_RAG_TOP_ONCE", show_envvar=True,
              help="Look once, as where the output is not a terminal.")  # fmt: skip
def top_command(store: str | None, as_json: bool, every: float, once: bool) -> None:
    """Watch the system live; Ctrl-C ends it."""
    options.apply(SMART_RAG_STORE_URL=store)
    options.find_redis()
    from ..celery import app
    from ..monitoring import overview
    from ..monitoring.checks import Subject
    from ..settings import get_settings

    subject = Subject(app, get_settings(), timeout=1.0)
    if as_json:
        output.print_json(overview.as_json(overview.look(subject)))
        return
    console = output.console()
    if once or not sys.stdout.isatty():
        console.print(frame(overview.look(subject), 100))
        return
    from rich.live import Live

    found = overview.look(subject)
    try:
        with Live(frame(found, console.height), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(every)
                subject.__dict__.pop("replies", None)
                found = overview.look(subject, found.samples)
                live.update(frame(found, console.height), refresh=True)
    except KeyboardInterrupt:
        return


def frame(found: Overview, height: int) -> Group:
    """One picture, in ``height`` lines at the most."""
    from rich.console import Group

    lines = max(1, min(5, (height - 17) // 2))  # what is left for running documents and failures
    return Group(*_frame(found, lines))


def _frame(found: Overview, lines: int) -> Iterator[RenderableType]:
    from rich.text import Text

    yield _head(found)
    yield _documents(found)
    yield _rates(found)
    for part, problem in found.samples.problems.items():
        yield Text(f"{part}: {problem}", style="red", no_wrap=True, overflow="ellipsis")
    yield Text()
    yield _queues(found)
    yield Text()
    yield _workers(found)
    yield Text()
    yield from _running(found, lines)
    yield from _failures(found, lines)


def _head(found: Overview) -> Text:
    from rich.text import Text

    from ..instrumentation import metrics

    head = Text(no_wrap=True)
    head.append("smart_rag_tasks", style="bold")
    head.append(time.strftime("  %H:%M:%S", time.localtime(found.samples.at)))
    for part in ("store", "broker"):
        up = found.number(metrics.UP, part)
        head.append(f"   {part} ").append("ok" if up else "AWAY", style="green" if up else "red bold")
    beat = found.number(metrics.BEAT_AGE)
    head.append("   beat ").append("none" if beat is None else f"{output.duration(beat)} ago",
                                   style="red" if beat is None or beat > 60 else "")  # fmt: skip
    dead = found.number(metrics.DEAD_LETTERS)
    head.append("   dead ").append(f"{dead or 0:.0f}", style="red" if dead else "")
    return head


def _documents(found: Overview) -> Text:
    from rich.text import Text

    from ..instrumentation import metrics

    line = Text("documents ")
    counts = {status: found.number(metrics.DOCUMENTS, status) or 0 for status in STATUSES}
    for status, count in counts.items():
        if count or status in ("queued", "running", "completed"):
            line.append(f"  {count:,.0f} ").append(output.status_text(status))
    return line


def _rates(found: Overview) -> Text:
    from rich.text import Text

    from ..instrumentation import metrics

    waiting = found.number(metrics.CHUNKS_WAITING) or 0
    rates = found.rates
    speed = f"{rates.get('generated', 0) + rates.get('unchanged', 0):,.1f} a second" if rates else "…"
    failing = rates.get("failed", 0)
    line = Text(f"chunks      {waiting:,.0f} wait, {speed}, ")
    return line.append(f"{failing:,.1f} a second fail", style="red" if failing else "")


def _queues(found: Overview) -> RenderableType:
    from ..instrumentation import metrics
    from ..names import QUEUES

    def row(queue: str) -> tuple[object, ...]:
        served = found.number(metrics.QUEUE_CONSUMERS, queue)
        return (
            queue,
            _whole(found.number(metrics.QUEUE_WAITING, queue)),
            _whole(found.number(metrics.QUEUE_UNACKED, queue)),
            output.duration(found.number(metrics.QUEUE_OLDEST, queue) or None),
            "nobody" if served == 0 else _whole(served),
        )

    columns = ("*queue", ">waiting", ">in hand", ">oldest", ">served by")
    return output.table(columns, (row(queue) for queue in QUEUES))


def _workers(found: Overview) -> RenderableType:
    from ..instrumentation import metrics

    names = sorted(labels[0] for labels in found.samples.of(metrics.WORKER_ACTIVE))

    def row(name: str) -> tuple[object, ...]:
        memory = found.number(metrics.WORKER_MEMORY, name)
        return (
            name,
            _whole(found.number(metrics.WORKER_ACTIVE, name)),
            output.duration(found.number(metrics.WORKER_LONGEST, name) or None),
            "" if memory is None else f"{memory / 1e6:,.0f} MB",
        )

    rows = [row(name) for name in names[:3]] or [("none answers", "", "", "")]
    if len(names) > 3:
        rows[2] = (f"… {len(names) - 2} more", "", "", "")
    return output.table(("*worker", ">running", ">longest", ">memory"), rows)


def _running(found: Overview, lines: int) -> Iterator[RenderableType]:
    rows = []
    for row in found.running[:lines]:
        done = row.done + row.failed + row.unchanged
        part = done / row.total if row.total else 0.0
        bar = "█" * round(20 * part) + "░" * (20 - round(20 * part))
        rows.append((row.document_id, bar, f"{done:,}/{row.total:,}", f"{part:.0%}"))
    yield output.table(("*running now", "", ">chunks", ">"), rows or [("nothing", "", "", "")])


def _failures(found: Overview, lines: int) -> Iterator[RenderableType]:
    rows: Iterable[tuple[object, ...]] = [
        (row.document_id, output.status_text(row.status), f"{row.failed or 0:,} failed", _ago(found, row.updated_at))
        for row in found.failures[:lines]
    ]
    if rows:
        yield output.table(("*last trouble", "", ">", ">"), rows)


def _ago(found: Overview, at: float) -> str:
    return f"{output.duration(max(0.0, found.samples.at - at))} ago"


def _whole(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"
