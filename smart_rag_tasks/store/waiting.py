"""Statements on what runs wait for: entry messages, leases, retries, messages of batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, case, func, select, tuple_

from ..models import TERMINAL, ChunkState
from .schema import batches, chunks, runs


def open_runs(connection: Connection, document_id: str | None = None) -> list[Row[Any]]:
    """Runs that have not ended, oldest first; ``document_id``: only its."""
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
    if document_id is not None:
        query = query.where(runs.c.document_id == document_id)
    return list(connection.execute(query))


def runs_before(connection: Connection, run: Row[Any]) -> int:
    """How many runs of its lane wait for their plan that were sent before this one of `open_runs`."""
    sent = tuple_(func.coalesce(runs.c.published_at, 0.0), runs.c.run_id) < tuple_(run.published_at or 0.0, run.run_id)
    query = select(func.count()).where(
        runs.c.status.not_in(TERMINAL), runs.c.stage == "queued", runs.c.lane == run.lane, sent
    )
    return int(connection.execute(query).scalar_one())


def batches_before(connection: Connection, summary: Row[Any]) -> int:
    """How many batches of its queue lie there that were sent before the first of this one of `open_batches`."""
    query = select(func.count()).where(
        batches.c.state == "open", _IS_IDLE, batches.c.queue == summary.queue, summary.published_at > _SENT
    )
    return int(connection.execute(query).scalar_one())


_IS_LEASED = batches.c.owner.is_not(None)
_IS_DUE = batches.c.owner.is_(None) & batches.c.due_at.is_not(None)
_IS_IDLE = batches.c.owner.is_(None) & batches.c.due_at.is_(None)
_SENT = func.coalesce(batches.c.published_at, 0.0)


def open_batches(connection: Connection, run_ids: Sequence[str] | None = None) -> dict[str, Row[Any]]:
    """What the open batches of each run, or of these runs, wait for, in numbers, by run."""
    query = (
        select(
            batches.c.run_id,
            func.max(batches.c.queue).label("queue"),
            func.sum(case((_IS_LEASED, 1), else_=0)).label("leased"),
            func.max(case((_IS_LEASED, batches.c.owner))).label("owner"),
            func.max(case((_IS_LEASED, batches.c.lease_until))).label("lease_until"),
            func.sum(case((_IS_DUE, 1), else_=0)).label("due"),
            func.min(case((_IS_DUE, batches.c.due_at))).label("due_at"),
            func.sum(case((_IS_IDLE, 1), else_=0)).label("idle"),
            func.min(case((_IS_IDLE, _SENT))).label("published_at"),
            func.min(case((_IS_IDLE, batches.c.redrives))).label("redrives"),
        )
        .where(batches.c.state == "open")
        .group_by(batches.c.run_id)
    )
    if run_ids is not None:
        query = query.where(batches.c.run_id.in_(run_ids))
    rows: list[Row[Any]] = list(connection.execute(query))
    return {row.run_id: row for row in rows}


def last_errors(connection: Connection, run_ids: Sequence[str] | None = None) -> dict[str, str]:
    """The kind of error for which batches of each run, or of these runs, are tried again, by run."""
    of_batch = (chunks.c.run_id == batches.c.run_id) & (chunks.c.batch == batches.c.number)
    query = (
        select(batches.c.run_id, func.max(chunks.c.error_kind))
        .join_from(batches, runs, runs.c.run_id == batches.c.run_id)
        .join(chunks, (chunks.c.document_id == runs.c.document_id) & of_batch)
        .where(batches.c.state == "open", _IS_DUE, chunks.c.state == ChunkState.PENDING.value, chunks.c.attempts > 0)
        .group_by(batches.c.run_id)
    )
    if run_ids is not None:
        query = query.where(batches.c.run_id.in_(run_ids))
    return dict(map(tuple, connection.execute(query)))
