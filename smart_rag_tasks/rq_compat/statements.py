"""Statements that a move needs: which runs are under way on which side, and giving them to the other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from ..models import TERMINAL, ChunkState, RunStatus
from ..store import runs as stored
from ..store.schema import batches, chunks, documents, runs


def unfinished(connection: Connection, engine: str) -> list[Row[Any]]:
    """Runs under way on a side: ``run_id``, ``document_id``."""
    query = select(runs.c.run_id, runs.c.document_id).where(runs.c.engine == engine, runs.c.status.not_in(TERMINAL))
    return list(connection.execute(query.order_by(runs.c.created_at)))


def give(connection: Connection, run_id: str, *, source: str, target: str) -> bool:
    """Give a run under way to the other side, its messages taken for lost; False if it ended or was given before."""
    statement = update(runs).where(runs.c.run_id == run_id, runs.c.engine == source, runs.c.status.not_in(TERMINAL))
    given = connection.execute(statement.values(engine=target)).rowcount == 1
    if given:
        stored.forget_messages(connection, run_id)
    return given


def without_entry(connection: Connection, engine: str, limit: int) -> list[Row[Any]]:
    """Runs of a side that wait for their plan, and whose entry message has to be sent."""
    query = select(runs.c.run_id, runs.c.document_id, runs.c.lane).where(
        runs.c.engine == engine,
        runs.c.status == RunStatus.QUEUED.value,
        runs.c.stage == "queued",
        runs.c.published_at == 0.0,
    )
    return list(connection.execute(query.limit(limit)))


def without_batches(connection: Connection, engine: str, limit: int) -> list[Row[Any]]:
    """Runs of a side of which messages for batches have to be sent."""
    lost = select(batches.c.number).where(
        batches.c.run_id == runs.c.run_id, batches.c.state == "open", batches.c.published_at == 0.0
    )
    query = select(runs.c.run_id, runs.c.document_id, runs.c.lane).where(
        runs.c.engine == engine, runs.c.status == RunStatus.RUNNING.value, lost.exists()
    )
    return list(connection.execute(query.limit(limit)))


def numbers_to_send(connection: Connection, run_id: str) -> list[int]:
    """The run's open batches that no message was sent for."""
    query = select(batches.c.number).where(
        batches.c.run_id == run_id, batches.c.state == "open", batches.c.published_at == 0.0
    )
    return list(connection.execute(query.order_by(batches.c.number)).scalars())


def mark_sent(connection: Connection, run_id: str, numbers: list[int], now: float) -> None:
    """Messages for these batches go out at ``now``."""
    statement = update(batches).where(batches.c.run_id == run_id, batches.c.number.in_(numbers))
    connection.execute(statement.values(published_at=now))


def where_it_is(connection: Connection, run_id: str) -> Any:
    """A run's ``engine``, ``status`` and ``document_id``, None when it is not in the store."""
    query = select(runs.c.engine, runs.c.status, runs.c.document_id).where(runs.c.run_id == run_id)
    return connection.execute(query).first()


def count(connection: Connection, created_before: float | None = None) -> dict[str, int]:
    """Documents, runs and chunks by state; ``created_before``: of runs made until then."""
    numbers: dict[str, int] = {}
    for status, documented in _by_status(connection):
        numbers[f"documents {status}"] = documented
    numbers["documents"] = sum(numbers.values())
    old = runs.c.created_at <= (time.time() if created_before is None else created_before)
    query = select(runs.c.engine, func.count()).where(runs.c.status.not_in(TERMINAL)).group_by(runs.c.engine)
    for engine, under_way in connection.execute(query):
        numbers[f"under way on {engine}"] = under_way
    numbers["runs"] = int(connection.execute(select(func.count()).select_from(runs).where(old)).scalar_one())
    done = select(func.count()).where(chunks.c.state == ChunkState.DONE.value)
    numbers["chunks with metadata"] = int(connection.execute(done).scalar_one())
    return numbers


def _by_status(connection: Connection) -> Iterator[tuple[str, int]]:
    query = select(documents.c.status, func.count()).group_by(documents.c.status)
    yield from connection.execute(query)
