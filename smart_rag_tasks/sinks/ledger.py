"""Which chunks a sink has, kept in a file: without a store's outbox, it is how those that went are known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from ..models import Json
from . import SINK_BATCH, VectorStore


class Ledger:
    """Feeds a sink one document, whose chunk ids it keeps in ``path``. Raises what the sink raises."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def feed(self, sink: VectorStore, document_id: str, records: Iterator[Json]) -> None:
        """Upsert the document's chunks in batches, then delete those that the sink has besides."""
        before, now = self._read(), set[str]()
        while page := list(islice(records, SINK_BATCH)):
            now.update(record["chunk_id"] for record in page)
            if not now <= before:
                self._write(before | now)  # first: the sink may have them, whatever comes
            sink.upsert(page)
        if gone := sorted(before - now):
            sink.delete(document_id, gone)
        self._write(now)

    def _read(self) -> set[str]:
        return set(json.loads(self.path.read_text(encoding="utf-8"))) if self.path.exists() else set()

    def _write(self, chunk_ids: Iterable[str]) -> None:
        draft = self.path.with_name(self.path.name + ".part")
        draft.write_text(json.dumps(sorted(chunk_ids)), encoding="utf-8")
        draft.replace(self.path)
