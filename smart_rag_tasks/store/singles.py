"""Statements for chunks that come one at a time, outside a document's run."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, select, update

from ..models import Chunk, ChunkState, Json, RunStatus
from . import admission
from .engine import Store
from .schema import chunks, documents


def store_chunk(
    store: Store, connection: Connection, document_id: str, chunk: Chunk, generator: str, now: float
) -> None:
    """Add the chunk to its document, or renew its text; a document that is new starts with it."""
    run_id = str(uuid4())
    values: Json = {"document_id": document_id, "run_id": run_id, "status": RunStatus.COMPLETED.value}
    values |= {"created_at": now, "updated_at": now}
    document = admission.lock_document(store, connection, values)
    if document.run_id == run_id:
        admission.insert_run(connection, _ended_run(run_id, document_id, generator, now))
    there = get(connection, document_id, chunk.chunk_id)
    position = _position(connection, document, there)
    if there is not None and there.text == chunk.text:
        if there.run_id != document.run_id:  # a newer submission removed it, now it is wanted again
            admission.list_chunk(connection, document_id, chunk.chunk_id, document.run_id, position)
        return
    placed = Chunk(chunk.chunk_id, chunk.text, position, chunk.section_path, chunk.page, chunk.metadata)
    admission.upsert_chunks(store, connection, document_id, document.run_id, [placed])


def _position(connection: Connection, document: Row[Any], there: Row[Any] | None) -> int:
    """A listed chunk's own place, for others the one at the end."""
    if there is not None and there.run_id == document.run_id:
        return int(there.position)
    return admission.next_position(connection, document.document_id, document.run_id)


def _ended_run(run_id: str, document_id: str, generator: str, now: float) -> Json:
    """The run that stands for single chunks: it has ended, nothing waits for it."""
    return {
        "run_id": run_id,
        "document_id": document_id,
        "status": RunStatus.COMPLETED.value,
        "stage": "done",
        "lane": "bulk",
        "engine": "none",
        "generator": generator,
        "content_hash": "",
        "created_at": now,
        "finished_at": now,
    }


def get(connection: Connection, document_id: str, chunk_id: str) -> Row[Any] | None:
    """A chunk with its document's ``title``, ``language`` and ``source``."""
    query = (
        select(chunks, documents.c.title, documents.c.language, documents.c.source)
        .join(documents, documents.c.document_id == chunks.c.document_id)
        .where(chunks.c.document_id == document_id, chunks.c.chunk_id == chunk_id)
    )
    return connection.execute(query).first()


def write(connection: Connection, document_id: str, chunk_id: str, text: str, values: Json) -> bool:
    """Write a chunk's outcome, if its text is still the one it was made from and no run has it in a batch."""
    statement = update(chunks).where(
        chunks.c.document_id == document_id,
        chunks.c.chunk_id == chunk_id,
        chunks.c.text == text,
        (chunks.c.batch.is_(None)) | (chunks.c.state != ChunkState.PENDING.value),
    )
    return connection.execute(statement.values(values)).rowcount == 1
