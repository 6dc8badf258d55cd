"""Feeding a vector store from the outbox, in batches. A sink that is down never fails a document."""

from __future__ import annotations

from itertools import islice
from typing import Any

from sqlalchemy import Row

from ..sinks import VectorStore, load_sink
from ..store import documents
from .environment import Environment
from .records import chunk_record

#: Records in one call of a sink.
SINK_BATCH = 256


def feed(env: Environment, entry: Row[Any]) -> None:
    """Give the sink every chunk of the document, if the run of this entry is still its newest."""
    feed_document(env, load_sink(env.settings.sink), entry.document_id, entry.run_id)


def remove(env: Environment, entry: Row[Any]) -> None:
    """Tell the sink which chunks are gone (``chunk_ids`` null: all of the document)."""
    load_sink(env.settings.sink).delete(entry.document_id, entry.payload["chunk_ids"])


def feed_document(env: Environment, sink: VectorStore, document_id: str, run_id: str | None = None) -> int:
    """Upsert a document's chunks; returns how many. Does nothing when a newer run has taken the document."""
    count = 0
    with env.store.read() as connection:
        document = documents.get(connection, document_id)
        if document is None or (run_id is not None and document.run_id != run_id):
            return 0
        rows = documents.chunk_rows(connection, document_id)
        while page := [chunk_record(document, row) for row in islice(rows, SINK_BATCH)]:
            sink.upsert(page)
            count += len(page)
    return count
