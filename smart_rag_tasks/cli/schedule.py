"""``schedule``: periodic work, seen and changed while beat runs. The store's table is the truth, beat follows it."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from ..errors import InvalidInput
from ..models import Json
from . import options, output

#: Seconds after which a beat that has not ticked is taken for gone: ticks come every 5 s.
SILENT = 30.0

every = click.option(
    "--every", envvar="SMART_RAG_SCHEDULE_EVERY", show_envvar=True, metavar="PERIOD", help="For example 30s, 5m, 1d."
)
name_argument = click.argument("name")


@click.group("schedule", context_settings={"max_content_width": 80})
def schedule_command() -> None:
    """Periodic work: what is due when; changes hold within seconds, and over restarts."""


@schedule_command.command("list")
@options.with_store
def list_command(store: str | None, as_json: bool) -> None:
    """Periodic entries: when they are due, when they were last sent."""
    env = options.open_environment(store)
    records, beat = _records(env)
    if as_json:
        output.print_json({"beat": beat, "entries": records})
        return
    console = output.console()
    console.print(_beat_sentence(beat))
    rows = [
        (
            record["name"],
            record["when"],
            output.status_text("running" if record["enabled"] else "paused"),
            ago(record["last"]),
            ahead(record["next"]) if record["enabled"] else "",
        )
        for record in records
    ]
    console.print(output.table(("*Name", "When", "State", ">Last", ">Next"), rows))


def _records(env: Any) -> tuple[list[Json], Json | None]:
    """The entries, with RedBeat's times where Redis answers; and beat's last tick."""
    from redis.exceptions import RedisError

    from ..celery import app
    from ..periods import in_words
    from ..schedules import beat_tick, live_times
    from ..stages import timetable

    rows, sent = timetable.entries(env), timetable.last_sent(env)
    try:
        live, beat = live_times(app, [row.name for row in rows]), beat_tick(app)
    except RedisError:
        live, beat = {}, None
    records = []
    for row in rows:
        last, due = live.get(row.name, (None, None))
        records.append(
            {
                "name": row.name,
                "task": row.task,
                "kwargs": row.kwargs,
                "when": in_words(row.every, row.cron),
                "every": row.every,
                "cron": row.cron,
                "enabled": row.enabled,
                "builtin": row.builtin,
                "last": last or sent.get(row.name),
                "next": due,
            }
        )
    return records, beat


def _beat_sentence(beat: Json | None) -> str:
    if beat is None:
        return "No beat is known: `celery -A smart_rag_tasks beat` (or `up`) starts one."
    seconds = time.time() - beat["at"]
    if seconds > SILENT:
        return f"Beat was last heard of {ago(beat['at'])}: `celery -A smart_rag_tasks beat` starts one."
    return f"Beat runs, its last look was {ago(beat['at'])}."


def ago(at: float | None) -> str:
    """``3 min 2 s ago``, "" for never."""
    return "" if at is None else f"{output.duration(max(0.0, time.time() - at))} ago"


def ahead(at: float | None) -> str:
    """``in 12 s``, ``now``, "" when it is not known."""
    if at is None:
        return ""
    seconds = at - time.time()
    return f"in {output.duration(seconds)}" if seconds > 0 else "now"


@schedule_command.command("add")
@name_argument
@click.option("--task", envvar="SMART_RAG_SCHEDULE_TASK", show_envvar=True, metavar="NAME",
              help="Task to send; not needed to change an entry.")  # fmt: skip
@click.option("--kwargs", "kwargs_json", envvar="SMART_RAG_SCHEDULE_KWARGS", show_envvar=True, metavar="JSON",
              help="Its keyword arguments, as a JSON object.")  # fmt: skip
@every
@click.option("--cron", envvar="SMART_RAG_SCHEDULE_CRON", show_envvar=True, metavar="LINE",
              help="Five fields, for example '30 4 * * *'; UTC.")  # fmt: skip
@options.with_store
def add_command(
    name: str,
    task: str | None,
    kwargs_json: str | None,
    every: str | None,
    cron: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Add the entry NAME, or change when it is due (built-in ones too)."""
    from ..periods import in_words, parse_cron, parse_every
    from ..stages import timetable

    if (every is None) == (cron is None):
        raise InvalidInput("say when: either --every 5m or --cron '30 4 * * *'")
    seconds = parse_every(every) if every is not None else None
    line = parse_cron(cron) if cron is not None else None
    kwargs = _kwargs(kwargs_json)
    env = options.open_environment(store, makes=True)
    full_name = _task(task)
    if full_name is not None:
        _check_arguments(full_name, kwargs or {})
    new = timetable.add(env, name, full_name, kwargs, every=seconds, cron=line)
    words = in_words(seconds, line)
    output.say(as_json, f"{name} is {'added' if new else 'changed'}: {words}.", name=name, added=new, when=words)


def _kwargs(text: str | None) -> Json | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidInput('--kwargs: must be a JSON object, for example \'{"folder": "/data"}\'')
    return value


def _task(given: str | None) -> str | None:
    """The full name of a task that workers know; ``expire`` stands for ``smart_rag_tasks.maintenance.expire``."""
    if given is None:
        return None
    from ..celery import app

    app.loader.import_default_modules()
    ours = sorted(name for name in app.tasks if not name.startswith("celery."))
    if given in ours:
        return given
    ending = [name for name in ours if name.endswith(f".{given}")]
    if len(ending) != 1:
        shown = ", ".join(name.rsplit(".", 1)[-1] for name in ours if ".maintenance." in name)
        raise InvalidInput(f"--task {given!r}: no worker knows a task of that name; for example {shown}")
    return ending[0]


def _check_arguments(task: str, kwargs: Json) -> None:
    """Whether the task can be called with these arguments at all."""
    from inspect import signature

    from ..celery import app

    try:
        signature(app.tasks[task].run).bind(**kwargs)
    except TypeError as error:
        raise InvalidInput(f"--kwargs: {task} takes other arguments ({error})") from None


@schedule_command.command("pause")
@name_argument
@options.with_store
def pause_command(name: str, store: str | None, as_json: bool) -> None:
    """Let the entry NAME rest, over restarts too."""
    from ..stages import timetable

    timetable.pause(options.open_environment(store), name)
    output.say(as_json, f"{name} is paused; `schedule resume` goes on.", name=name, enabled=False)


@schedule_command.command("resume")
@name_argument
@options.with_store
def resume_command(name: str, store: str | None, as_json: bool) -> None:
    """Let the paused entry NAME go on."""
    from ..stages import timetable

    timetable.resume(options.open_environment(store), name)
    output.say(as_json, f"{name} goes on.", name=name, enabled=True)


@schedule_command.command("remove")
@name_argument
@options.with_store
def remove_command(name: str, store: str | None, as_json: bool) -> None:
    """Delete the entry NAME; built-in ones can be paused."""
    from ..stages import timetable

    timetable.remove(options.open_environment(store), name)
    output.say(as_json, f"{name} is removed.", name=name, removed=True)


@schedule_command.command("run-now")
@name_argument
@options.with_store
def run_now_command(name: str, store: str | None, as_json: bool) -> None:
    """Send the task of entry NAME now, whether it is paused or not."""
    from ..schedules import send_now
    from ..stages import timetable

    row = timetable.find(options.open_environment(store), name)
    task_id = send_now(row)
    output.say(as_json, f"{name} is sent; a worker that serves `maintenance` runs it.", name=name, task_id=task_id)
