"""Feeding a sink by a ledger: what it has is what the document has, however often it raised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from smart_rag_tasks.models import Json
from smart_rag_tasks.sinks.ledger import Ledger


class SetStore:
    """The chunk ids that it was given; raises at the calls that ``broken`` names."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.broken = ""

    def upsert(self, records: Sequence[Json]) -> None:
        self.ids.update(record["chunk_id"] for record in records)
        if self.broken == "upsert":
            raise ConnectionError("took them, but the answer was lost")

    def delete(self, document_id: str, chunk_ids: Sequence[str] | None) -> None:
        if self.broken == "delete":
            raise ConnectionError
        self.ids.difference_update(chunk_ids or ())


def feed(store: SetStore, path: Path, *chunk_ids: str) -> None:
    """As a new process would: nothing is known but the file."""
    Ledger(path / "d.fed").feed(store, "d", iter([{"chunk_id": chunk_id} for chunk_id in chunk_ids]))


def test_chunks_that_went_are_deleted(tmp_path: Path) -> None:
    store = SetStore()
    feed(store, tmp_path, *map(str, range(600)))
    feed(store, tmp_path, "7", "new")

    assert {"7", "new"} == store.ids


@pytest.mark.parametrize("call", ["upsert", "delete"])
def test_they_are_deleted_after_an_error_too(tmp_path: Path, call: str) -> None:
    store = SetStore()
    feed(store, tmp_path, "a", "b")
    store.broken = call
    with pytest.raises(ConnectionError):
        feed(store, tmp_path, "a", "c")
    store.broken = ""
    feed(store, tmp_path, "a")

    assert {"a"} == store.ids
