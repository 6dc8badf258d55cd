"""How SQLite finds what the sweep, the workers and the operator's commands ask for: by an index, not by reading all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from smart_rag_tasks.store import Store, batches, lost, observed, runs, trouble
from smart_rag_tasks.store.migrate import open_store

NOW = 1_800_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'plans.db'}")
    yield store
    store.close()


def plan(store: Store, call: Callable[[Connection], Any]) -> list[str]:
    """What SQLite says of each statement that the call executes."""
    said: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        said.append((statement, parameters))

    with store.write() as connection:
        event.listen(store.engine, "before_cursor_execute", note)
        try:
            call(connection)
        finally:
            event.remove(store.engine, "before_cursor_execute", note)
        raw = connection.connection.driver_connection
        assert raw is not None
        return [row[3] for statement, values in said for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", values)]


OF_A_RUN = {
    "all_settled": lambda connection: lost.all_settled(connection, "celery", NOW, 100),
    "has_open_batches": lambda connection: runs.has_open_batches(connection, "run"),
    "mark_published": lambda connection: batches.mark_published(connection, "run", NOW),
    "numbers_open": lambda connection: batches.numbers_open(connection, "run"),
}


@pytest.mark.parametrize("name", OF_A_RUN)
def test_a_run_s_batches_are_found_among_its_own(store: Store, name: str) -> None:
    said = plan(store, OF_A_RUN[name])

    assert any("batches USING" in line and "(run_id=?" in line for line in said), said
    assert not any("batches_open" in line for line in said), said


OF_CHUNKS = {
    "generated_before": lambda connection: batches.generated_before(connection, ["key", "other"]),
    "failed_chunks": trouble.failed_chunks,
    "failed_chunks of a document": lambda connection: trouble.failed_chunks(connection, document_id="d"),
    "broken_documents": trouble.broken_documents,
    "first_error": lambda connection: trouble.first_error(connection, "d", "run"),
    "pending_chunks": lambda connection: batches.pending_chunks(connection, "d", "run", 0),
    "recent_failures": lambda connection: observed.recent_failures(connection, 10),
}


@pytest.mark.parametrize("name", OF_CHUNKS)
def test_nothing_reads_all_chunks_or_documents(store: Store, name: str) -> None:
    said = plan(store, OF_CHUNKS[name])

    assert said
    assert not [line for line in said if line.startswith(("SCAN chunks", "SCAN documents"))], said
