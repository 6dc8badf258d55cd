"""Feeding a vector store from the outbox, in batches. A sink that is down never fails a document."""

from __future__ import annotations

import time
from typing import Any, Final

from sqlalchemy import Row

from ..sinks import SINK_BATCH, load_sink
from ..store import documents, outbox
from .delivery import Unfinished, hold
from .environment import Environment
from .records import chunk_record

#: Seconds after which a long document's feeding is left to the next delivery: others wait, too.
TURN: Final = 20.0


def feed(env: Environment, entry: Row[Any]) -> None:
    """Give the sink the document's chunks from where the last try stopped, while the entry's run is its newest."""
    sink = load_sink(env.settings.sink)
    begin = time.monotonic()
    after = entry.payload.get("after")
    while True:
        with env.store.read() as connection:
            document = documents.get(connection, entry.document_id)
            if document is None or document.run_id != entry.run_id:
                return
            rows = documents.chunk_page(connection, entry.document_id, after, SINK_BATCH)
        if not rows:
            return
        sink.upsert([chunk_record(document, row) for row in rows])
        if len(rows) < SINK_BATCH:
            return
        after = [rows[-1].position, rows[-1].chunk_id]
        with env.store.write() as connection:
            outbox.keep(connection, entry.id, payload={"after": after}, until=time.time() + hold(env))
        if time.monotonic() - begin > TURN:
            raise Unfinished


def remove(env: Environment, entry: Row[Any]) -> None:
    """Tell the sink which chunks are gone (``chunk_ids`` null: all of the document)."""
    load_sink(env.settings.sink).delete(entry.document_id, entry.payload["chunk_ids"])
