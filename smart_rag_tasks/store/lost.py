"""Statements by which the sweep finds what has no living owner and no message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select, update

from ..models import RunStatus
from .schema import IS_OPEN, batches, outbox, runs

#: Seconds that `newest_done` looks back.
RECENT = 600.0

_BATCH = (
    batches.c.run_id,
    batches.c.number,
    batches.c.queue,
    batches.c.owner,
    batches.c.lease_until,
    batches.c.published_at,
    runs.c.document_id,
    runs.c.lane,
)


def _open_batches(engine: str) -> Any:
    return (
        select(*_BATCH)
        .join(runs, runs.c.run_id == batches.c.run_id)
        .where(batches.c.state == "open", runs.c.status == RunStatus.RUNNING.value, runs.c.engine == engine)
    )


def leased(connection: Connection, engine: str) -> list[Row[Any]]:
    """Open batches that have an owner, dead or alive."""
    return list(connection.execute(_open_batches(engine).where(batches.c.owner.is_not(None))))


def due(connection: Connection, engine: str, now: float, limit: int) -> list[Row[Any]]:
    """Open batches whose retry is due."""
    query = _open_batches(engine).where(batches.c.owner.is_(None), batches.c.due_at <= now)
    return list(connection.execute(query.limit(limit)))


def newest_started(connection: Connection, queue: str, before: float, engine: str | None = None) -> float:
    """When the newest message of the queue was published that somebody had begun by ``before``; 0 for none.

    ``engine``: of that engine's queue only; each has one of this name, and neither is a measure of the other.
    """
    query = select(func.max(batches.c.published_at)).where(batches.c.queue == queue, batches.c.started_at < before)
    if engine is not None:
        query = query.join(runs, runs.c.run_id == batches.c.run_id).where(runs.c.engine == engine)
    return float(connection.execute(query).scalar() or 0.0)


def newest_done(connection: Connection, engine: str, lane: str, before: float) -> float:
    """When the newest run of the lane was planned whose batches had all been worked on by ``before``; 0 for none.

    Batches are forgotten with the end of their run: where documents are short, it is the runs that tell.
    """
    query = select(func.max(runs.c.started_at)).where(
        runs.c.finished_at < before,
        runs.c.finished_at > before - RECENT,
        runs.c.status.in_((RunStatus.COMPLETED.value, RunStatus.COMPLETED_WITH_ERRORS.value)),
        runs.c.engine == engine,
        runs.c.lane == lane,
        runs.c.batches > 1,
    )
    return float(connection.execute(query).scalar() or 0.0)


def overdue_batches(
    connection: Connection, engine: str, queue: str, *, before: float, now: float, patience: float, limit: int
) -> list[Row[Any]]:
    """Batches published before ``before``, and ``patience`` seconds ago (longer after each re-drive), never begun."""
    query = _open_batches(engine).where(
        batches.c.queue == queue,
        batches.c.owner.is_(None),
        batches.c.due_at.is_(None),
        or_(batches.c.published_at.is_(None), batches.c.published_at < before),
        func.coalesce(batches.c.published_at, 0) + patience * (1 + batches.c.redrives) < now,
    )
    return list(connection.execute(query.order_by(batches.c.published_at).limit(limit)))


def overdue_runs(
    connection: Connection, engine: str, lane: str, *, before: float, now: float, patience: float, limit: int
) -> list[Row[Any]]:
    """The same for entry messages: runs that nobody has planned, or plans now."""
    at_work = select(batches.c.number).where(batches.c.run_id == runs.c.run_id, batches.c.lease_until >= now).exists()
    query = select(runs.c.run_id, runs.c.document_id, runs.c.lane).where(
        ~at_work,
        runs.c.status == RunStatus.QUEUED.value,
        runs.c.stage == "queued",
        runs.c.engine == engine,
        runs.c.lane == lane,
        func.coalesce(runs.c.published_at, 0) < before,
        func.coalesce(runs.c.published_at, 0) + patience * (1 + runs.c.redrives) < now,
    )
    return list(connection.execute(query.order_by(runs.c.published_at).limit(limit)))


def newest_planned(connection: Connection, engine: str, lane: str, before: float) -> float:
    """When the newest entry message of the lane was published whose run was planned by ``before``; 0 for none."""
    query = select(func.max(runs.c.published_at)).where(
        runs.c.engine == engine, runs.c.lane == lane, runs.c.started_at < before
    )
    return float(connection.execute(query).scalar() or 0.0)


def all_settled(connection: Connection, engine: str, before: float, limit: int) -> list[str]:
    """Running runs without an open batch that nobody has ended since ``before``."""
    still_open = select(batches.c.number).where(batches.c.run_id == runs.c.run_id, IS_OPEN).exists()
    query = select(runs.c.run_id).where(
        runs.c.status == RunStatus.RUNNING.value,
        runs.c.engine == engine,
        func.coalesce(runs.c.progress_at, runs.c.started_at, 0) < before,
        ~still_open,
    )
    return list(connection.execute(query.limit(limit)).scalars())


def republished_batches(connection: Connection, run_id: str, numbers: Sequence[int], now: float) -> None:
    """Note that messages for these batches go out again."""
    statement = update(batches).where(batches.c.run_id == run_id, batches.c.number.in_(numbers))
    connection.execute(statement.values(published_at=now, redrives=batches.c.redrives + 1))


def republished_run(connection: Connection, run_id: str, now: float) -> None:
    """Note that a run's entry message goes out again."""
    statement = update(runs).where(runs.c.run_id == run_id)
    connection.execute(statement.values(published_at=now, redrives=runs.c.redrives + 1))


def outbox_waits(connection: Connection, before: float) -> bool:
    """Whether the outbox holds anything that was due before ``before`` and that nobody delivers."""
    query = select(outbox.c.id).where(
        outbox.c.due_at < before, or_(outbox.c.lease_until.is_(None), outbox.c.lease_until < before)
    )
    return connection.execute(query.limit(1)).first() is not None
