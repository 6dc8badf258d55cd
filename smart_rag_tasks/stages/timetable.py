"""The periodic entries as people change them: the table ``schedules`` is the truth, beat follows it.

Whether a cron line or a period makes sense is for ``periods`` to say; how the entries get into RedBeat, for
``schedules``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row

from .. import names
from ..errors import InvalidInput
from ..models import Json
from ..settings import Settings
from ..store import facts, schedules, watched
from .environment import Environment

#: Before the name of a watched folder's entry.
RESCAN_PREFIX: Final = "rescan:"

#: Before an entry's name, in the name of the fact that says when it was last sent.
RAN: Final = "schedule_ran:"

#: Seconds between two re-scans of a folder, unless somebody says otherwise.
RESCAN_EVERY: Final = 300.0

#: Characters of an entry's name, as the table's column has them.
MAX_NAME: Final = 256


def defaults(settings: Settings) -> list[Json]:
    """The built-in entries."""
    timed = (
        ("sweep", names.SWEEP, settings.sweep_seconds),
        ("evaluate-alerts", names.EVALUATE_ALERTS, 30.0),
        ("regenerate-stale", names.REGENERATE_STALE, 3600.0),
        ("expire", names.EXPIRE, 3600.0),
    )
    return [{"name": name, "task": task, "kwargs": {}, "every": every, "cron": None} for name, task, every in timed]


def entries(env: Environment) -> list[Row[Any]]:
    """All entries, the built-in ones added if they are missing."""
    wanted = defaults(env.settings)
    with env.store.read() as connection:
        rows = schedules.listing(connection)
    there = {row.name: row for row in rows}
    if all(_is_current(there.get(item["name"]), item) for item in wanted):
        return rows
    with env.store.write() as connection:
        for item in wanted:
            schedules.put_default(env.store, connection, item, time.time())
        return schedules.listing(connection)


def _is_current(row: Row[Any] | None, wanted: Json) -> bool:
    if row is None:
        return False
    touched = row.updated_at != row.created_at
    return touched or all(getattr(row, name) == wanted[name] for name in ("task", "kwargs", "every", "cron"))


def add(env: Environment, name: str, task: str | None, kwargs: Json | None, *, every: float | None,
        cron: str | None) -> bool:  # fmt: skip
    """Add an entry, or change the timing of the one of that name; True if it is new.

    ``task`` and ``kwargs`` None: those that the entry has.
    """
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInput(f"NAME: must have 1 to {MAX_NAME} printable characters")
    entries(env)
    with env.store.write() as connection:
        there = schedules.get(connection, name)
        if there is None and task is None:
            raise InvalidInput(f"{name}: there is no entry of that name; say what it is to run, with --task")
        if there is not None and there.builtin and task not in (None, there.task):
            raise InvalidInput(f"{name}: is built in and runs {there.task}; take another name")
        values: Json = {
            "name": name,
            "task": task or there.task,  # type: ignore[union-attr]  # one of them is there
            "kwargs": kwargs if kwargs is not None else (there.kwargs if there is not None else {}),
            "every": every,
            "cron": cron,
        }
        schedules.put(env.store, connection, values, _after(there))
    return there is None


def _after(there: Row[Any] | None) -> float:
    """Now, and never the moment of creation: an entry that was changed is not a default any more."""
    return time.time() if there is None else max(time.time(), there.created_at + 0.001)


def find(env: Environment, name: str) -> Row[Any]:
    """The entry of that name; InvalidInput if there is none."""
    found = next((row for row in entries(env) if row.name == name), None)
    if found is None:
        raise InvalidInput(f"{name}: there is no such entry; `smart-rag-tasks schedule list` shows those there are")
    return found


def pause(env: Environment, name: str) -> None:
    """Let an entry rest until `resume`, over restarts of everything."""
    _switch(env, name, False)


def resume(env: Environment, name: str) -> None:
    """Let a paused entry go on."""
    _switch(env, name, True)


def _switch(env: Environment, name: str, enabled: bool) -> None:
    row = find(env, name)
    if row.enabled == enabled:
        raise InvalidInput(f"{name}: is {'not paused' if enabled else 'paused already'}")
    with env.store.write() as connection:
        schedules.set_enabled(connection, name, enabled, _after(row))


def remove(env: Environment, name: str) -> None:
    """Delete an entry; built-in ones can only be paused."""
    if find(env, name).builtin:
        raise InvalidInput(f"{name}: is built in; `smart-rag-tasks schedule pause {name}` lets it rest")
    with env.store.write() as connection:
        _forget(connection, name)


def _forget(connection: Connection, name: str) -> None:
    schedules.remove(connection, name)
    facts.remove(connection, RAN + name)
    if name.startswith(RESCAN_PREFIX):
        watched.forget_folder(connection, name.removeprefix(RESCAN_PREFIX))


# -- watched folders


def watch(env: Environment, folder: Path, every: float | None) -> tuple[str, bool]:
    """Re-scan a folder every so often (``None``: as before, or each 5 minutes); its path, and True if it is new."""
    path = folder.expanduser().resolve()
    if not path.is_dir():
        raise InvalidInput(f"{folder}: is no folder; watch the folder that a file lies in")
    name = f"{RESCAN_PREFIX}{path}"
    if len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInput(f"{folder}: its path must have at most {MAX_NAME - len(RESCAN_PREFIX)} printable characters")
    with env.store.write() as connection:
        there = schedules.get(connection, name)
        for other in watched_folders(connection):
            if other != path and (path.is_relative_to(other) or other.is_relative_to(path)):
                raise InvalidInput(f"{path}: overlaps {other}, which is watched already; remove that one first")
        values: Json = {"name": name, "task": names.RESCAN, "kwargs": {"folder": str(path)}, "cron": None}
        values["every"] = every or (there.every if there is not None else None) or RESCAN_EVERY
        if there is None or every is not None:
            schedules.put(env.store, connection, values, _after(there))
    return str(path), there is None


def unwatch(env: Environment, folder: Path) -> str:
    """Stop re-scanning a folder; its documents stay. Returns its path."""
    path = folder.expanduser().resolve()
    with env.store.write() as connection:
        if schedules.get(connection, f"{RESCAN_PREFIX}{path}") is None:
            raise InvalidInput(f"{path}: is not watched; `smart-rag-tasks watch list` shows the folders that are")
        _forget(connection, f"{RESCAN_PREFIX}{path}")
    return str(path)


def watched_folders(connection: Connection) -> list[Path]:
    """The folders that are watched, paused ones included."""
    rows = schedules.of_task(connection, names.RESCAN)
    return [Path(row.kwargs["folder"]) for row in rows if row.kwargs.get("folder")]


# -- what beat notes


def note_sent(env: Environment, name: str, at: float) -> None:
    """An entry was sent: so that its next time is known even after Redis came back empty."""
    with env.store.write() as connection:
        facts.put(env.store, connection, RAN + name, at, at)


def last_sent(env: Environment) -> dict[str, float]:
    """When each entry was last sent, as far as that was noted."""
    with env.store.read() as connection:
        return facts.starting_with(connection, RAN)
