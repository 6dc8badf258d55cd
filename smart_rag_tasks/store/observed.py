"""Statements by which the store is watched: they read as few rows as there is work under way, or has failed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, select

from ..models import RunStatus
from .schema import batches, documents, outbox, runs


def leases(connection: Connection, now: float) -> tuple[int, int]:
    """Leases that are held, and leases that have run out without being given back."""
    owned = select(func.count()).select_from(batches).where(batches.c.owner.is_not(None))
    held = connection.execute(owned.where(batches.c.lease_until >= now)).scalar_one()
    expired = connection.execute(owned.where(batches.c.lease_until < now)).scalar_one()
    return int(held), int(expired)


def outbox_lag(connection: Connection) -> list[Row[Any]]:
    """Of each ``kind`` in the outbox: ``entries``, ``oldest`` (when it was put there), ``attempts`` at the most."""
    query = select(
        outbox.c.kind,
        func.count().label("entries"),
        func.min(outbox.c.created_at).label("oldest"),
        func.max(outbox.c.attempts).label("attempts"),
    )
    return list(connection.execute(query.group_by(outbox.c.kind)))


def last_outbox_error(connection: Connection, kinds: tuple[str, ...]) -> str:
    """Why the longest-waiting entry of these kinds could not be delivered, "" if none failed."""
    query = select(outbox.c.error).where(outbox.c.kind.in_(kinds), outbox.c.error != "").order_by(outbox.c.id).limit(1)
    return str(connection.execute(query).scalar() or "")


def oldest_open_run(connection: Connection) -> Any:
    """The run that has been running for longest without progress (``document_id``, ``run_id``, ``since``), or None."""
    since = func.coalesce(runs.c.progress_at, runs.c.started_at, runs.c.created_at).label("since")
    query = select(runs.c.document_id, runs.c.run_id, since).where(runs.c.status == RunStatus.RUNNING.value)
    return connection.execute(query.order_by(since).limit(1)).first()


def recent_failures(connection: Connection, limit: int) -> list[Row[Any]]:
    """The documents that failed last, wholly or in part: ``document_id``, ``status``, ``failed``, ``updated_at``."""
    query = (
        select(documents.c.document_id, documents.c.status, documents.c.updated_at, runs.c.failed, runs.c.error)
        .join(runs, runs.c.run_id == documents.c.run_id, isouter=True)
        .where(documents.c.status.in_([RunStatus.FAILED.value, RunStatus.COMPLETED_WITH_ERRORS.value]))
        .order_by(documents.c.updated_at.desc())
        .limit(limit)
    )
    return list(connection.execute(query))


def running_documents(connection: Connection, limit: int) -> list[Row[Any]]:
    """Documents that are worked on, the latest first: ``document_id``, counts, ``started_at``."""
    columns = (runs.c.document_id, runs.c.total, runs.c.done, runs.c.failed, runs.c.unchanged, runs.c.started_at)
    query = select(*columns).where(runs.c.status == RunStatus.RUNNING.value)
    return list(connection.execute(query.order_by(runs.c.published_at.desc()).limit(limit)))


def run_of_task(connection: Connection, run_id: str) -> Row[Any] | None:
    """A run by its id, with its counts; None if there is none."""
    return connection.execute(select(runs).where(runs.c.run_id == run_id)).first()
