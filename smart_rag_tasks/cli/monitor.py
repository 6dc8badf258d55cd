"""``monitor``: workers, tasks, queues, health; purge a queue, cancel a task, ask what became of one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ..models import Json
from . import options, output

if TYPE_CHECKING:
    from ..monitoring.monitor import CeleryMonitor

timeout = click.option(
    "--timeout",
    type=click.FloatRange(0.1, 60),
    default=1.5,
    envvar="SMART_RAG_MONITOR_TIMEOUT",
    show_envvar=True,
    show_default=True,
    metavar="SECONDS",
    help="How long workers have to answer.",
)


def _command(call: Callable[..., Any]) -> Callable[..., Any]:
    return options.store(timeout(options.as_json(call)))


def _monitor(store: str | None, timeout: float, *, reads_store: bool = False) -> CeleryMonitor:
    if reads_store:
        options.find_store(store)
    else:
        options.apply(SMART_RAG_STORE_URL=store)
    options.find_redis()
    from ..monitoring.monitor import CeleryMonitor

    return CeleryMonitor(timeout=timeout)


@click.group("monitor")
def monitor_command() -> None:
    """What the system does now, and what keeps it from it."""


@monitor_command.command()
@_command
def workers(store: str | None, timeout: float, as_json: bool) -> None:
    """Every worker that answers: queues, tasks, memory."""
    stats = _monitor(store, timeout).get_worker_stats()
    if as_json:
        output.print_json(stats)
        return
    console = output.console()
    console.print(f"{_count(stats['active_workers'], 'worker')} answered.")
    columns = ("*worker", ">slots", ">active", ">reserved", ">taken", ">memory", ">up", "*queues")
    if stats["workers"]:
        console.print(output.table(columns, (_worker_row(name, each) for name, each in stats["workers"].items())))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _worker_row(name: str, worker: Mapping[str, Any]) -> tuple[object, ...]:
    memory = worker["memory"]
    used = f"{memory['used'] / 1e6:,.0f} MB" if memory else ""
    counts = (worker["concurrency"], worker["active"], worker["reserved"], f"{sum(worker['taken'].values()):,}")
    return (name, *counts, used, output.duration(worker["uptime"]), ", ".join(worker["queues"]))


@monitor_command.command()
@click.argument("state", type=click.Choice(["active", "reserved", "scheduled", "registered"]), default="active")
@_command
def tasks(state: str, store: str | None, timeout: float, as_json: bool) -> None:
    """The tasks that workers run (active), hold, have for later, or know."""
    stats = _monitor(store, timeout).get_worker_stats()
    found: Mapping[str, Any] = stats[f"{state}_tasks"]
    if as_json:
        output.print_json(found)
        return
    console = output.console()
    if state == "registered":
        for worker, names in found.items():
            console.print(f"{worker}: {len(names)} tasks", *names, sep="\n  ")
        return
    rows = [_task_row(worker, task.get("request", task)) for worker, each in found.items() for task in each or ()]
    console.print(f"{_count(len(rows), 'task')} {state}.")
    if rows:
        console.print(output.table(("*task", "*document", ">for", "*worker"), rows))


def _task_row(worker: str, task: Mapping[str, Any]) -> tuple[object, ...]:
    started = task.get("time_start")
    age = output.duration(time.time() - started) if started else ""
    return (
        str(task.get("name")).rpartition(".")[2],
        str(task.get("args", "")).strip("(),").replace("'", ""),
        age,
        worker,
    )


@monitor_command.command()
@_command
def queues(store: str | None, timeout: float, as_json: bool) -> None:
    """Every queue: what waits, for how long, what workers hold, who serves it."""
    found = _monitor(store, timeout).snapshot()
    if as_json:
        output.print_json(found)
        return
    columns = ("queue", ">waiting", ">in hand", ">oldest", "*served by")
    output.console().print(output.table(columns, (_queue_row(each) for each in found.values())))


def _queue_row(queue: Json) -> tuple[object, ...]:
    served = ", ".join(queue["consumers"]) or "NOBODY"
    hand = "" if queue["unacknowledged"] is None else queue["unacknowledged"]
    return (queue["name"], f"{queue['waiting']:,}", hand, output.duration(queue["oldest_seconds"]), served)


@monitor_command.command()
@click.argument("queue")
@options.yes
@_command
def purge(queue: str, yes: bool, store: str | None, timeout: float, as_json: bool) -> None:
    """Remove the messages that wait in QUEUE, and of no other one.

    The documents they work on are paused: `smart-rag-tasks resume DOCUMENT` sends them again.
    """
    monitor = _monitor(store, timeout, reads_store=True)
    count = monitor.get_queue_length(queue)
    if not yes:
        click.confirm(f"Remove {count:,} messages from {queue} and pause their documents?", abort=True, err=True)
    purged = monitor.purge_queue(queue)
    if as_json:
        output.print_json({**asdict(purged), "documents": sorted(purged.documents), "dropped": dict(purged.dropped)})
        return
    console = output.console()
    console.print(f"{purged.messages:,} messages are removed from {queue}, {len(purged.documents):,} documents paused.")
    for document in sorted(purged.documents)[:10]:
        console.print(f"  smart-rag-tasks resume {document}")
    if len(purged.documents) > 10:
        console.print("  … and so on: `smart-rag-tasks list --status paused` shows them all")
    for name, dropped in purged.dropped.items():
        console.print(f"{dropped:,} of {name} are dropped.")


@monitor_command.command()
@click.argument("task_id")
@_command
def cancel(task_id: str, store: str | None, timeout: float, as_json: bool) -> None:
    """Cancel a run, whose id is its task's, or a single task."""
    done = _monitor(store, timeout, reads_store=True).cancel_task(task_id)
    what = f"run of {done['document_id']}" if done["document_id"] else "task"
    output.say(as_json, f"The {what} is cancelled.", **done)


@monitor_command.command()
@click.argument("task_id")
@_command
def task(task_id: str, store: str | None, timeout: float, as_json: bool) -> None:
    """What became of TASK_ID; exits with 1 if nothing knows of it."""
    info = _monitor(store, timeout, reads_store=True).get_task_info(task_id)
    if as_json:
        output.print_json(info)
    elif info["known"]:
        for name in ("state", "where", "name", "result", "error"):
            if info.get(name):
                output.console().print(f"{name}: {info[name]}", soft_wrap=True)
        if info["run"]:
            run = info["run"]
            words = (
                f"run of {run['document_id']}: {run['status']}, {run['done'] + run['unchanged']:,} of {run['total']:,}"
            )
            output.console().print(f"{words} chunks, {run['failed']:,} failed", soft_wrap=True)
    else:
        click.echo(f"Error: {task_id}: no such task; it may have ended long ago", err=True)
    if not info["known"]:
        raise SystemExit(1)


@monitor_command.command()
@click.option("--ready", "kind", flag_value="ready", envvar="SMART_RAG_HEALTH_READY", show_envvar=True,
              help="Only what a document needs to be finished.")  # fmt: skip
@click.option("--live", "kind", flag_value="live", envvar="SMART_RAG_HEALTH_LIVE", show_envvar=True,
              help="Only whether this machine's workers need a restart.")  # fmt: skip
@click.option(
    "--only",
    multiple=True,
    metavar="CHECK",
    envvar="SMART_RAG_HEALTH_ONLY",
    show_envvar=True,
    help="Only this check, as it is named in the list; any number of times.",
)
@_command
def health(kind: str | None, only: tuple[str, ...], store: str | None, timeout: float, as_json: bool) -> None:
    """OK or FAIL for each part; exits with 1 if any fails."""
    found = _monitor(store, timeout).health_check(kind or "all", only)
    if as_json:
        output.print_json(found)
    else:
        from rich.text import Text

        console = output.console()
        for check in found["checks"]:
            word = Text("OK  ", style="green") if check["ok"] else Text("FAIL", style="red bold")
            console.print(
                output.hanging(Text.assemble(word, f"  {check['name']:<15} "), check["detail"]), soft_wrap=True
            )
    if found["status"] != "healthy":
        raise SystemExit(1)
