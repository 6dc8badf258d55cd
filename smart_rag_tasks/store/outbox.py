"""Statements on the outbox: what must reach somebody outside the store, at least once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, or_, select, update

from ..models import Json
from .schema import outbox


def put(connection: Connection, rows: list[Json], now: float) -> None:
    """Add entries (``kind``, ``document_id``, ``run_id``, ``payload``), due at once unless they say ``due_at``."""
    if rows:
        connection.execute(outbox.insert(), [{"due_at": now, "created_at": now, **row} for row in rows])


def due(connection: Connection, now: float, limit: int, run_id: str | None = None) -> list[Row[Any]]:
    """Entries that are due and that nobody holds, oldest first."""
    query = (
        select(outbox)
        .where(outbox.c.due_at <= now, or_(outbox.c.lease_until.is_(None), outbox.c.lease_until < now))
        .order_by(outbox.c.id)
        .limit(limit)
    )
    return list(connection.execute(query if run_id is None else query.where(outbox.c.run_id == run_id)))


def feeding(connection: Connection) -> bool:
    """Whether there is something for a sink that it has not refused so far."""
    query = select(outbox.c.id).where(outbox.c.kind.in_(("sink", "sink_delete")), outbox.c.error == "").limit(1)
    return connection.execute(query).first() is not None


def take(connection: Connection, entry: Row[Any], *, owner: str, until: float) -> bool:
    """Hold an entry while delivering it, if nobody took it since it was read."""
    statement = update(outbox).where(
        outbox.c.id == entry.id, outbox.c.owner.is_not_distinct_from(entry.owner), outbox.c.attempts == entry.attempts
    )
    values = {"owner": owner, "lease_until": until, "attempts": outbox.c.attempts + 1}
    return connection.execute(statement.values(values)).rowcount == 1


def delivered(connection: Connection, entry_id: int) -> None:
    """The entry reached its goal."""
    connection.execute(delete(outbox).where(outbox.c.id == entry_id))


def postpone(connection: Connection, entry_id: int, *, due_at: float, error: str) -> None:
    """The entry did not reach its goal; try again at ``due_at``."""
    statement = update(outbox).where(outbox.c.id == entry_id)
    connection.execute(statement.values(owner=None, lease_until=None, due_at=due_at, error=error[:500]))
