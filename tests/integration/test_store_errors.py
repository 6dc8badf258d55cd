"""What the store cannot take: refused before it comes there, or told without a chunk's text."""

from __future__ import annotations

import logging
import random
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import StatementError

from smart_rag_tasks.errors import InvalidInput, StoreDeadlock, StoreUnavailable
from smart_rag_tasks.models import Chunk
from smart_rag_tasks.stages import ingest
from smart_rag_tasks.stages.ingest import Submission, admit
from smart_rag_tasks.stages.validation import valid_chunks, valid_document_id
from smart_rag_tasks.store import Store, admission


@pytest.mark.parametrize(
    ("run_id", "metadata"),
    [(None, {}), ("r" * 65, {}), ("run", {"private": float("nan")}), ("run", {"private": object()})],
)
def test_an_error_of_the_database_holds_no_text(
    new_store: Store, run_id: Any, metadata: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    chunk = Chunk("c", "private words", 0, ("private heading",), metadata=metadata)
    try:
        with new_store.write() as connection:
            admission.upsert_chunks(new_store, connection, "doc", run_id, [chunk])
    except (StatementError, TypeError) as error:
        logging.getLogger(__name__).exception("%r", error)
        assert "private" not in "".join(traceback.format_exception(error))
        assert "private" not in repr(error)
    else:
        assert new_store.is_sqlite  # it takes what PostgreSQL does not
    assert "private" not in caplog.text


@pytest.mark.parametrize("new_store", ["postgresql"], indirect=True)  # SQLite has one writer at a time
def test_a_submission_that_gave_way_in_a_deadlock_is_repeated(
    new_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_store.write() as connection:
        connection.exec_driver_sql("CREATE TABLE locked (name text primary key, times int)")
        connection.exec_driver_sql("INSERT INTO locked VALUES ('a', 0), ('b', 0)")
    both_have_one = threading.Barrier(2, timeout=10)

    def take(connection: Connection, name: str) -> None:
        connection.exec_driver_sql("UPDATE locked SET times = times + 1 WHERE name = %s", (name,))

    def batch() -> None:
        with suppress(StoreDeadlock), new_store.write() as connection:
            take(connection, "a")
            both_have_one.wait()
            take(connection, "b")
            time.sleep(0.2)

    real, tries = ingest._admit, []

    def admit_in_its_way(store: Store, wish: Submission) -> ingest.Admission:
        tries.append(wish)
        with store.write() as connection:
            take(connection, "b")
            if len(tries) == 1:
                connection.exec_driver_sql("SET LOCAL deadlock_timeout = '50ms'")  # who looks first gives way
                both_have_one.wait()
            take(connection, "a")
        return real(store, wish)

    monkeypatch.setattr(ingest, "_admit", admit_in_its_way)
    thread = threading.Thread(target=batch)
    thread.start()
    assert admit(new_store, Submission("doc", [Chunk("c", "text", 0)], "extractive", engine="celery")).created
    thread.join()
    assert 2 == len(tries)


def rare(count: int, first: int = 0x20000) -> str:
    """So many characters that no compression makes shorter, of four bytes each if nothing else is said."""
    return "".join(chr(first + random.randrange(6000)) for _ in range(count))


@pytest.mark.parametrize(("count", "first"), [(512, 0x4E00), (384, 0x20000)])
def test_the_longest_ids_are_taken(new_store: Store, count: int, first: int) -> None:
    name = valid_document_id(rare(count, first))
    chunks = valid_chunks([{"chunk_id": rare(256), "text": "one"}], max_chars=100, max_chunks=1)

    assert admit(new_store, Submission(name, chunks, "extractive", engine="celery")).created


def test_a_longer_document_id_is_refused() -> None:
    with pytest.raises(InvalidInput, match="document_id: has 1,540 bytes in UTF-8, at most 1,536 are allowed"):
        valid_document_id(rare(385))


def test_what_is_over_a_limit_of_postgresql_is_no_store_that_is_away(new_store: Store) -> None:
    wish = Submission("doc", [Chunk("c", "private words")], "extractive", source=f"/{rare(1000)}", engine="celery")
    if new_store.is_sqlite:
        assert admit(new_store, wish).created
        return
    with pytest.raises(
        InvalidInput, match=r"The store cannot hold this .*documents_source"
    ):  # StoreUnavailable: retried
        admit(new_store, wish)


def test_a_file_that_cannot_be_opened_is_told_with_what_to_look_at(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    (tmp_path / "store.db").mkdir()
    with pytest.raises(StoreUnavailable, match="check that it is a file"), store.read():
        pass
