"""Statements on schedules: the periodic entries that RedBeat is filled from."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from ..models import Json
from .engine import Store
from .schema import schedules


def listing(connection: Connection) -> list[Row[Any]]:
    """All entries, in the order of their names."""
    return list(connection.execute(select(schedules).order_by(schedules.c.name)))


def get(connection: Connection, name: str) -> Row[Any] | None:
    """The entry, None if there is none of that name."""
    return connection.execute(select(schedules).where(schedules.c.name == name)).first()


def of_task(connection: Connection, task: str) -> list[Row[Any]]:
    """The entries of one task."""
    return list(connection.execute(select(schedules).where(schedules.c.task == task).order_by(schedules.c.name)))


def put(store: Store, connection: Connection, values: Json, now: float) -> None:
    """Add an entry (``name``, ``task``, ``kwargs``, ``every``, ``cron``), or change the one of that name."""
    insert = store.insert(schedules).values(**values, enabled=True, builtin=False, created_at=now, updated_at=now)
    changed = {name: insert.excluded[name] for name in ("task", "kwargs", "every", "cron", "updated_at")}
    connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=changed))


def put_default(store: Store, connection: Connection, values: Json, now: float) -> None:
    """Add a built-in entry, or bring one that nobody has changed to this version's timing."""
    insert = store.insert(schedules).values(**values, enabled=True, builtin=True, created_at=now, updated_at=now)
    changed = {name: insert.excluded[name] for name in ("task", "kwargs", "every", "cron")}
    untouched = schedules.c.updated_at == schedules.c.created_at
    connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=changed, where=untouched))


def set_enabled(connection: Connection, name: str, enabled: bool, now: float) -> bool:
    """Let the entry rest or run; False if there is none of that name."""
    statement = update(schedules).where(schedules.c.name == name)
    return connection.execute(statement.values(enabled=enabled, updated_at=now)).rowcount == 1


def remove(connection: Connection, name: str) -> bool:
    """Delete the entry; False if there is none of that name."""
    return connection.execute(delete(schedules).where(schedules.c.name == name)).rowcount == 1
