"""Statements on the outbox: what must reach somebody outside the store, at least once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, func, or_, select, update

from ..models import Json
from .schema import outbox

#: Kinds of entries for a sink; those of one document are delivered one after the other.
FOR_SINKS = ("sink", "sink_delete")


def put(connection: Connection, rows: list[Json], now: float) -> None:
    """Add entries (``kind``, ``document_id``, ``run_id``, ``payload``), due at once unless they say ``due_at``."""
    if rows:
        connection.execute(outbox.insert(), [{"due_at": now, "created_at": now, **row} for row in rows])


def put_for_sink(connection: Connection, rows: list[Json], now: float) -> None:
    """The same for a document's entries for the sink. Those of it that were put off are due now: they go first."""
    waiting = (outbox.c.document_id == rows[0]["document_id"], outbox.c.kind.in_(FOR_SINKS), outbox.c.due_at > now)
    connection.execute(update(outbox).where(*waiting).values(due_at=now))
    put(connection, rows, now)


def due(connection: Connection, now: float, limit: int, run_id: str | None = None) -> list[Row[Any]]:
    """Entries that are due, oldest first, also those that somebody holds; of a document's for the sink the first."""
    first = select(func.min(outbox.c.id)).where(outbox.c.kind.in_(FOR_SINKS)).group_by(outbox.c.document_id)
    query = (
        select(outbox)
        .where(outbox.c.due_at <= now, or_(outbox.c.kind.not_in(FOR_SINKS), outbox.c.id.in_(first)))
        .order_by(outbox.c.id)
        .limit(limit)
    )
    return list(connection.execute(query if run_id is None else query.where(outbox.c.run_id == run_id)))


def feeding(connection: Connection) -> bool:
    """Whether there is something for a sink that it has not refused so far."""
    query = select(outbox.c.id).where(outbox.c.kind.in_(FOR_SINKS), outbox.c.error == "").limit(1)
    return connection.execute(query).first() is not None


def take(connection: Connection, entry: Row[Any], *, owner: str, until: float) -> bool:
    """Hold an entry while delivering it, if nobody took it since it was read."""
    statement = update(outbox).where(
        outbox.c.id == entry.id, outbox.c.owner.is_not_distinct_from(entry.owner), outbox.c.attempts == entry.attempts
    )
    values = {"owner": owner, "lease_until": until, "attempts": outbox.c.attempts + 1}
    return connection.execute(statement.values(values)).rowcount == 1


def keep(connection: Connection, entry_id: int, *, payload: Json, until: float) -> None:
    """Note how far an entry has come, and hold it on."""
    connection.execute(update(outbox).where(outbox.c.id == entry_id).values(payload=payload, lease_until=until))


def delivered(connection: Connection, entry_id: int) -> None:
    """The entry reached its goal."""
    connection.execute(delete(outbox).where(outbox.c.id == entry_id))


def postpone(connection: Connection, entry_id: int, *, due_at: float, error: str) -> None:
    """The entry did not reach its goal; try again at ``due_at``."""
    statement = update(outbox).where(outbox.c.id == entry_id)
    connection.execute(statement.values(owner=None, lease_until=None, due_at=due_at, error=error[:500]))
