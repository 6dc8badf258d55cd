"""Statements on documents: listing, showing, exporting, deleting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, case, delete, func, literal, select, tuple_

from ..models import TERMINAL, ChunkState, Json, RunStatus
from .schema import chunks, documents, runs

#: The status of a run whose document is in the store no more.
DELETED = "deleted"

#: Documents that one statement names: far below any database's limit of parameters.
_PARAMETERS = 500

_WITH_RUN: Select[Any] = (
    select(
        documents,
        runs.c.total,
        runs.c.done,
        runs.c.failed,
        runs.c.unchanged,
        runs.c.stage,
        runs.c.lane,
        runs.c.engine,
        runs.c.created_at.label("submitted_at"),
        runs.c.finished_at,
        runs.c.error.label("reason"),
    ).join(runs, runs.c.run_id == documents.c.run_id, isouter=True)
)  # fmt: skip


def get(connection: Connection, document_id: str) -> Row[Any] | None:
    """A document with the counters of its newest run; None if unknown."""
    return connection.execute(_WITH_RUN.where(documents.c.document_id == document_id)).first()


_RUN: Select[Any] = (
    select(
        runs.c.run_id,
        runs.c.document_id,
        case((documents.c.document_id.is_(None), DELETED), else_=runs.c.status).label("status"),
        runs.c.stage,
        *(func.coalesce(documents.c[name], "").label(name) for name in ("title", "language", "source")),
        *(runs.c[name] for name in ("total", "done", "failed", "unchanged", "finished_at")),
        runs.c.created_at.label("submitted_at"),
        runs.c.error.label("reason"),
        documents.c.updated_at,
    )
    .join_from(runs, documents, documents.c.document_id == runs.c.document_id, isouter=True)
)  # fmt: skip


def get_run(connection: Connection, run_id: str) -> Row[Any] | None:
    """Any run as ``get`` gives a document's newest, `DELETED` if its document is; None if unknown."""
    return connection.execute(_RUN.where(runs.c.run_id == run_id)).first()


def find(connection: Connection, part: str, limit: int = 2) -> list[str]:
    """Ids of documents that contain ``part`` in any case, the exact one alone if there is one."""
    exact = connection.execute(select(documents.c.document_id).where(documents.c.document_id == part)).scalar()
    if exact is not None:
        return [exact]
    query = select(documents.c.document_id).where(documents.c.document_id.icontains(part, autoescape=True))
    return list(connection.execute(query.order_by(documents.c.document_id).limit(limit)).scalars())


def listing(connection: Connection, *, status: str | None = None, limit: int | None = None) -> Iterator[Row[Any]]:
    """Documents, the newest first, read in pages."""
    query = _WITH_RUN.order_by(documents.c.updated_at.desc(), documents.c.document_id)
    if status is not None:
        query = query.where(documents.c.status == status)
    yield from connection.execute(query.limit(limit).execution_options(yield_per=500))


def ids(connection: Connection) -> list[str]:
    """All ids, in order."""
    return list(connection.execute(select(documents.c.document_id).order_by(documents.c.document_id)).scalars())


def under_way(connection: Connection, document_ids: Sequence[str]) -> set[str]:
    """Those of these documents that are there and whose newest run has not ended."""
    found: set[str] = set()
    for start in range(0, len(document_ids), _PARAMETERS):
        these = documents.c.document_id.in_(document_ids[start : start + _PARAMETERS])
        found |= set(connection.execute(_UNDER_WAY.where(these)).scalars())
    return found


_UNDER_WAY = select(documents.c.document_id).where(documents.c.status.not_in(TERMINAL))


def count_by_status(connection: Connection) -> dict[str, int]:
    """How many documents have each status."""
    query = select(documents.c.status, func.count()).group_by(documents.c.status)
    return dict(map(tuple, connection.execute(query)))


def count_chunks(connection: Connection, document_id: str) -> int:
    """How many chunks a document has."""
    query = select(func.count()).select_from(chunks).where(chunks.c.document_id == document_id)
    return int(connection.execute(query).scalar_one())


def has_chunks(connection: Connection, document_id: str, states: Sequence[str]) -> bool:
    """Whether a document has a chunk in one of these states."""
    query = select(literal(1)).where(chunks.c.document_id == document_id, chunks.c.state.in_(states)).limit(1)
    return connection.execute(query).first() is not None


def chunk_rows(
    connection: Connection, document_id: str, *, state: str | None = None, limit: int | None = None
) -> Iterator[Row[Any]]:
    """A document's chunks in order, the first ``limit`` or all, read in pages."""
    query = select(chunks).where(chunks.c.document_id == document_id).order_by(chunks.c.position).limit(limit)
    if state is not None:
        query = query.where(chunks.c.state == state)
    yield from connection.execute(query.execution_options(yield_per=500))


def chunk_page(connection: Connection, document_id: str, after: Sequence[Any] | None, limit: int) -> list[Row[Any]]:
    """The next ``limit`` of a document's chunks behind position and id ``after``; None: the first."""
    query = select(chunks).where(chunks.c.document_id == document_id)
    if after is not None:
        query = query.where(tuple_(chunks.c.position, chunks.c.chunk_id) > tuple_(*after))
    return list(connection.execute(query.order_by(chunks.c.position, chunks.c.chunk_id).limit(limit)))


def top_keywords(connection: Connection, document_id: str, run_id: str, limit: int = 20) -> list[Json]:
    """The metadata of the document's first chunks that have some."""
    query = (
        select(chunks.c.meta)
        .where(chunks.c.document_id == document_id, chunks.c.run_id == run_id, chunks.c.state == ChunkState.DONE)
        .order_by(chunks.c.position)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def remove(connection: Connection, document_id: str) -> int:
    """Delete a document and its chunks; returns how many chunks. Its runs stay until they expire."""
    count = connection.execute(delete(chunks).where(chunks.c.document_id == document_id)).rowcount
    connection.execute(delete(documents).where(documents.c.document_id == document_id))
    return count


def stale(connection: Connection, fingerprint: str, limit: int) -> list[str]:
    """Documents that ended with another fingerprint, oldest first; not those whose newest run broke.

    Documents of single chunks only have no fingerprint: each chunk is somebody's own business.
    """
    ended = (RunStatus.COMPLETED, RunStatus.COMPLETED_WITH_ERRORS, RunStatus.FAILED)
    query = (
        select(documents.c.document_id)
        .join(runs, runs.c.run_id == documents.c.run_id)
        .where(
            documents.c.status.in_(ended),
            documents.c.fingerprint.not_in(("", fingerprint)),
            runs.c.error == "",
        )
    )
    return list(connection.execute(query.order_by(documents.c.updated_at).limit(limit)).scalars())
