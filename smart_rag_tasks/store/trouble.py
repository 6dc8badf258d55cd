"""Statements on what could not be done: broken documents, failed chunks, and deliveries that keep failing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, exists, func, literal_column, select, update

from ..models import ChunkState, RunStatus
from .schema import chunks, documents, outbox, runs

_FAILED = (ChunkState.FAILED.value, ChunkState.QUARANTINED.value)
#: The same as the partial index `chunks_trouble` has it: of bound values SQLite cannot know that it holds them.
_ANY_FAILED = chunks.c.state.in_([literal_column(f"'{state}'") for state in _FAILED])

#: Deliveries that failed this often are told of; before that they are merely late.
STUBBORN = 3

#: When a chunk's run last wrote to it, as far as anybody noted.
_AT = func.coalesce(runs.c.finished_at, runs.c.progress_at, runs.c.created_at, 0.0)


def broken_documents(connection: Connection, *, document_id: str | None = None) -> list[Row[Any]]:
    """Documents that failed as a whole and lack metadata: their newest run, its ``error`` and end."""
    query = (
        select(runs.c.document_id, runs.c.run_id, runs.c.error, _AT.label("at"))
        .join(documents, and_(documents.c.document_id == runs.c.document_id, documents.c.run_id == runs.c.run_id))
        .where(runs.c.status == RunStatus.FAILED.value, runs.c.error != "")
        .where(exists().where(_left_by(runs.c.document_id, runs.c.run_id)))
        .order_by(runs.c.document_id)
    )
    return list(connection.execute(query if document_id is None else query.where(runs.c.document_id == document_id)))


def failed_chunks(
    connection: Connection,
    *,
    document_id: str | None = None,
    kind: str | None = None,
    before: float | None = None,
) -> list[Row[Any]]:
    """Chunks without metadata after all their tries (``at``, and the ``status`` of their run), by document."""
    query = (
        select(
            chunks.c.document_id,
            chunks.c.chunk_id,
            chunks.c.state,
            chunks.c.error_kind,
            chunks.c.error,
            runs.c.status,
            _AT.label("at"),
        )
        .join(runs, runs.c.run_id == chunks.c.run_id, isouter=True)
        .order_by(chunks.c.document_id, chunks.c.position)
    )
    if document_id is None:
        query = query.where(_ANY_FAILED)
    else:
        query = query.where(chunks.c.state.in_(_FAILED), chunks.c.document_id == document_id)
    if kind is not None:
        query = query.where(chunks.c.error_kind == kind)
    if before is not None:
        query = query.where(before > _AT)
    return list(connection.execute(query))


def first_error(connection: Connection, document_id: str, run_id: str) -> str:
    """Kind and words of the first error of the run's failed chunks, "" if none failed."""
    query = select(chunks.c.error_kind, chunks.c.error).where(
        chunks.c.document_id == document_id, chunks.c.run_id == run_id, chunks.c.state.in_(_FAILED)
    )
    found = connection.execute(query.order_by(chunks.c.position).limit(1)).first()
    return f"{found.error_kind}: {found.error}" if found else ""


def chunk(connection: Connection, document_id: str, chunk_id: str) -> Row[Any] | None:
    """All of one chunk."""
    query = select(chunks).where(chunks.c.document_id == document_id, chunks.c.chunk_id == chunk_id)
    return connection.execute(query).first()


def discard_chunks(connection: Connection, document_id: str, ids: Sequence[str]) -> int:
    """Accept that these chunks have no metadata; returns how many were still failed."""
    statement = update(chunks).where(
        chunks.c.document_id == document_id, chunks.c.chunk_id.in_(ids), chunks.c.state.in_(_FAILED)
    )
    return connection.execute(statement.values(state=ChunkState.DISCARDED.value)).rowcount


def discard_left(connection: Connection, document_id: str, run_id: str) -> int:
    """Accept that the chunks which this broken run has left have no metadata; returns how many."""
    statement = update(chunks).where(_left_by(document_id, run_id))
    return connection.execute(statement.values(state=ChunkState.DISCARDED.value)).rowcount


def _left_by(document_id: Any, run_id: Any) -> Any:
    return and_(
        chunks.c.document_id == document_id, chunks.c.run_id == run_id, chunks.c.state == ChunkState.PENDING.value
    )


def deliveries(
    connection: Connection, *, document_id: str | None = None, before: float | None = None
) -> list[Row[Any]]:
    """Outbox entries that failed again and again, oldest first."""
    query = select(outbox).where(outbox.c.attempts >= STUBBORN, outbox.c.error != "").order_by(outbox.c.id)
    if document_id is not None:
        query = query.where(outbox.c.document_id == document_id)
    if before is not None:
        query = query.where(outbox.c.created_at < before)
    return list(connection.execute(query))


def hurry_deliveries(connection: Connection, ids: Sequence[int]) -> int:
    """Let these entries be due now, as if they had never failed."""
    statement = update(outbox).where(outbox.c.id.in_(ids), _nobody_holds(time.time()))
    return connection.execute(statement.values(due_at=time.time(), attempts=0, error="")).rowcount


def drop_deliveries(connection: Connection, ids: Sequence[int]) -> int:
    """Give these entries up; returns how many were there."""
    return connection.execute(delete(outbox).where(outbox.c.id.in_(ids), _nobody_holds(time.time()))).rowcount


def _nobody_holds(now: float) -> Any:
    return (outbox.c.lease_until.is_(None)) | (outbox.c.lease_until < now)
