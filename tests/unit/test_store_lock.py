"""How a writer waits for SQLite's one write lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from smart_rag_tasks.errors import StoreUnavailable
from smart_rag_tasks.store import engine
from smart_rag_tasks.store.engine import Store


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """Two connections to one file, as of two processes."""
    first, second = (Store(f"sqlite:///{tmp_path}/store.db") for _ in range(2))
    with first.write() as connection:
        connection.execute(text("CREATE TABLE notes (by TEXT)"))
    yield first, second
    first.close()
    second.close()


def note(connection: Connection, by: str) -> None:
    connection.execute(text("INSERT INTO notes VALUES (:by)"), {"by": by})


@pytest.mark.parametrize("seconds", [0.002, 0.2])
def test_a_writer_waits_for_another(stores: tuple[Store, Store], seconds: float) -> None:
    first, second = stores
    held = threading.Event()

    def hold() -> None:
        with first.write() as connection:
            held.set()
            note(connection, "first")
            time.sleep(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    with second.write() as connection:
        note(connection, "second")
    thread.join()
    with second.read() as connection:
        assert list(connection.scalars(text("SELECT by FROM notes"))) == ["first", "second"]


def test_a_writer_that_waited_too_long_says_so(
    stores: tuple[Store, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT", 0.1)
    first, _ = stores
    other = Store(f"sqlite:///{tmp_path}/store.db")
    with first.write(), pytest.raises(StoreUnavailable, match="database is locked"), other.write():
        pass
    with other.write() as connection:
        note(connection, "other")
    other.close()


def test_waiting_is_as_long_after_a_write_as_before(stores: tuple[Store, Store]) -> None:
    with stores[0].write() as connection:
        assert connection.scalar(text("PRAGMA busy_timeout")) == 10_000
