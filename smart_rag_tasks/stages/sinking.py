"""Feeding a vector store from the outbox, in batches. A sink that is down never fails a document."""

from __future__ import annotations

from itertools import islice
from typing import Any

from sqlalchemy import Row

from ..sinks import SINK_BATCH, load_sink
from ..store import documents
from .environment import Environment
from .records import chunk_record


def feed(env: Environment, entry: Row[Any]) -> None:
    """Give the sink every chunk of the document, if the run of this entry is still its newest."""
    sink = load_sink(env.settings.sink)
    with env.store.read() as connection:
        document = documents.get(connection, entry.document_id)
        if document is None or document.run_id != entry.run_id:
            return
        rows = documents.chunk_rows(connection, entry.document_id)
        while page := [chunk_record(document, row) for row in islice(rows, SINK_BATCH)]:
            sink.upsert(page)


def remove(env: Environment, entry: Row[Any]) -> None:
    """Tell the sink which chunks are gone (``chunk_ids`` null: all of the document)."""
    load_sink(env.settings.sink).delete(entry.document_id, entry.payload["chunk_ids"])
