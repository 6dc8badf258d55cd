"""Statements that take a submission into the store, all in the caller's one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from ..models import TERMINAL, Chunk, ChunkState, Json
from .engine import Store
from .schema import batches, chunks, documents, runs


def lock_document(store: Store, connection: Connection, values: Json) -> Row[Any]:
    """The document's row, made with ``values`` if it is new, held by this transaction until it ends."""
    insert = store.insert(documents).values(values)
    connection.execute(insert.on_conflict_do_nothing(index_elements=["document_id"]))
    query = select(documents).where(documents.c.document_id == values["document_id"])
    return connection.execute(query.with_for_update()).one()


def open_run(connection: Connection, document_id: str) -> Row[Any] | None:
    """The document's run that has not ended, if there is one."""
    query = select(runs).where(runs.c.document_id == document_id, runs.c.status.not_in(TERMINAL))
    return connection.execute(query.order_by(runs.c.created_at.desc()).limit(1)).first()


def insert_run(connection: Connection, values: Json) -> None:
    """A new run."""
    connection.execute(runs.insert().values(values))


def point_document(connection: Connection, document_id: str, values: Json) -> None:
    """Turn the fence: the document's newest run is the one in ``values``."""
    connection.execute(update(documents).where(documents.c.document_id == document_id).values(values))


#: A row of ``chunks`` as a new run wants it; what metadata is there stays until better is written.
_FRESH: Json = {"batch": None, "state": ChunkState.PENDING.value, "attempts": 0, "marks": 0, "want_key": None}


def upsert_chunks(store: Store, connection: Connection, document_id: str, run_id: str, given: Sequence[Chunk]) -> None:
    """Store the chunks' texts for ``run_id``; a chunk that is there keeps its metadata for now."""
    if not given:
        return
    insert = store.insert(chunks)
    taken = ("run_id", "position", "text", "section_path", "page", "extra", *_FRESH)
    statement = insert.on_conflict_do_update(
        index_elements=["document_id", "chunk_id"], set_={name: insert.excluded[name] for name in taken}
    )
    connection.execute(
        statement,
        [
            {
                "document_id": document_id,
                "chunk_id": chunk.chunk_id,
                "run_id": run_id,
                "position": chunk.position,
                "text": chunk.text,
                "section_path": list(chunk.section_path),
                "page": chunk.page,
                "extra": dict(chunk.metadata),
                **_FRESH,
            }
            for chunk in given
        ],
    )


def adopt_chunks(connection: Connection, document_id: str, run_id: str) -> int:
    """Let ``run_id`` work on the chunks that are stored; returns how many."""
    statement = update(chunks).where(chunks.c.document_id == document_id)
    return connection.execute(statement.values(run_id=run_id, **_FRESH)).rowcount


def next_position(connection: Connection, document_id: str) -> int:
    """The place after the document's last chunk."""
    last = connection.execute(select(func.max(chunks.c.position)).where(chunks.c.document_id == document_id)).scalar()
    return 0 if last is None else int(last) + 1


def count_chunks(connection: Connection, document_id: str, run_id: str) -> int:
    """How many chunks the run lists."""
    query = select(func.count()).where(chunks.c.document_id == document_id, chunks.c.run_id == run_id)
    return int(connection.execute(query).scalar_one())


def drop_batches(connection: Connection, run_id: str) -> None:
    """Forget a run's batches: whoever gets a message of it finds nothing to do."""
    connection.execute(delete(batches).where(batches.c.run_id == run_id))


def add_callbacks(connection: Connection, run_id: str, callbacks: list[Json]) -> None:
    """Replace a run's list of callbacks."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(callbacks=callbacks))
