"""Statements on what runs wait for: entry messages, leases, retries, messages of batches."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, case, func, select

from ..models import TERMINAL, ChunkState
from .schema import batches, chunks, runs


def open_runs(connection: Connection) -> list[Row[Any]]:
    """Runs that have not ended, oldest first."""
    query = select(
        runs.c.run_id,
        runs.c.document_id,
        runs.c.status,
        runs.c.stage,
        runs.c.lane,
        runs.c.engine,
        runs.c.batches,
        runs.c.created_at,
        runs.c.published_at,
        runs.c.redrives,
    )
    query = query.where(runs.c.status.not_in(TERMINAL)).order_by(runs.c.published_at, runs.c.run_id)
    return list(connection.execute(query))


def open_batches(connection: Connection) -> dict[str, Row[Any]]:
    """What the open batches of each run wait for, in numbers, by run."""
    is_leased = batches.c.owner.is_not(None)
    is_due = batches.c.owner.is_(None) & batches.c.due_at.is_not(None)
    is_idle = batches.c.owner.is_(None) & batches.c.due_at.is_(None)
    query = (
        select(
            batches.c.run_id,
            func.max(batches.c.queue).label("queue"),
            func.sum(case((is_leased, 1), else_=0)).label("leased"),
            func.max(case((is_leased, batches.c.owner))).label("owner"),
            func.max(case((is_leased, batches.c.lease_until))).label("lease_until"),
            func.sum(case((is_due, 1), else_=0)).label("due"),
            func.min(case((is_due, batches.c.due_at))).label("due_at"),
            func.sum(case((is_idle, 1), else_=0)).label("idle"),
            func.min(case((is_idle, func.coalesce(batches.c.published_at, 0.0)))).label("published_at"),
            func.min(case((is_idle, batches.c.redrives))).label("redrives"),
        )
        .where(batches.c.state == "open")
        .group_by(batches.c.run_id)
    )
    rows: list[Row[Any]] = list(connection.execute(query))
    return {row.run_id: row for row in rows}


def last_error(connection: Connection, document_id: str) -> str:
    """The kind of error for which chunks of the document are tried again, "" for none."""
    query = select(func.max(chunks.c.error_kind)).where(
        chunks.c.document_id == document_id, chunks.c.state == ChunkState.PENDING.value, chunks.c.attempts > 0
    )
    return str(connection.execute(query).scalar() or "")
