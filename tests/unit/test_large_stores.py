"""What is read of a store that holds more than should be in memory: no more than is printed, in few statements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import event

from smart_rag_tasks import client as client_module
from smart_rag_tasks import names
from smart_rag_tasks.cli import rag
from smart_rag_tasks.client import Client
from smart_rag_tasks.document_processor import DocumentProcessor
from smart_rag_tasks.models import Chunk
from smart_rag_tasks.stages import control, environment
from smart_rag_tasks.stages.environment import Environment
from smart_rag_tasks.stages.ingest import Submission, admit
from smart_rag_tasks.store import Store
from smart_rag_tasks.store.schema import chunks


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """A store of the test's own; Redis is away."""
    monkeypatch.setenv("SMART_RAG_STORE_URL", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    environment.reset()
    yield environment.environment()
    environment.reset()


def submitted(env: Environment, document_id: str, chunks: int = 1) -> str:
    given = [Chunk(f"c{number}", f"{document_id} {number}", number) for number in range(chunks)]
    return admit(env.store, Submission(document_id, given, "extractive", {}, engine=names.CELERY)).run_id


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """The statements that the store executes in the block."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    yield seen
    event.remove(store.engine, "before_cursor_execute", note)


def made(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    """The records that the client makes with its function of that name, as they are made."""
    records: list[Any] = []
    make = getattr(client_module, name)
    monkeypatch.setattr(client_module, name, lambda *rows: records.append(make(*rows)) or records[-1])
    return records


def printed(*words: str) -> str:
    done = CliRunner().invoke(rag, words)
    assert 0 == done.exit_code, done.output
    return done.stdout


def test_show_reads_the_chunks_that_it_prints(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted(env, "tea", 30)
    records = made(monkeypatch, "chunk_record")
    assert "… 20 chunks more: --chunks 0 shows all" in printed("show", "tea")
    assert [f"c{number}" for number in range(10)] == [record["chunk_id"] for record in records]
    assert "tea 29" in printed("show", "tea", "--chunks", "0")
    found = json.loads(printed("show", "tea", "--json"))
    assert (30, 30) == (found["total"], len(found["chunks"]))


def test_the_list_as_json_is_printed_as_it_is_read(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "[]\n" == printed("list", "--json")
    for name in ("one", "two", "three"):
        submitted(env, name)
    whole = Client().statuses()
    shown = printed("list", "--json").splitlines()
    assert ["three", "two", "one"] == [record["document_id"] for record in json.loads("\n".join(shown))]
    alike = [line for line in json.dumps(whole, indent=2).splitlines() if '"seconds"' not in line]
    assert alike == [line for line in shown if '"seconds"' not in line]

    records = made(monkeypatch, "status_record")
    assert "three" == next(Client().each_status())["document_id"]
    assert 1 == len(records)
    monkeypatch.setattr(Client, "statuses", None)
    assert 2 == len(json.loads(printed("list", "--json", "--limit", "2")))


def test_what_has_ended_is_asked_in_one_statement(env: Environment, tmp_path: Path) -> None:
    processor = DocumentProcessor(tmp_path, tmp_path / "out")
    waiting = {name: submitted(env, name) for name in ("one", "two", "three", "four")}
    with statements(processor.client.env.store) as seen:
        assert [] == processor._ended(waiting)
    assert 1 == sum(statement.startswith("SELECT") for statement in seen)

    control.cancel(env, "two")
    control.delete(env, "three")
    ended = {record["document_id"]: record["status"] for record in processor._ended(waiting)}
    assert {"two": "cancelled", "three": "deleted"} == ended


def test_of_many_dead_letters_no_two_have_one_id(env: Environment) -> None:
    alike = [Chunk("c186544", "one", 0), Chunk("c620845", "two", 1)]  # the first 40 bits of their digests are the same
    admit(env.store, Submission("guide", alike, "extractive", {}, engine=names.CELERY))
    with env.store.write() as connection:
        connection.execute(chunks.update().values(state="failed", error_kind="ValueError"))
    ids = [letter["id"] for letter in json.loads(printed("dead-letters", "list", "--source", "chunk", "--json"))]
    printed("dead-letters", "discard", ids[0])
    assert ids[1:] == [letter["id"] for letter in json.loads(printed("dead-letters", "list", "--json"))]


def test_whether_metadata_is_missing_is_asked_without_reading_the_chunks(env: Environment) -> None:
    submitted(env, "tea", 3)
    client = Client()
    with statements(client.env.store) as seen:
        assert client._lacks_metadata("tea")
    assert [] == [statement for statement in seen if "chunks.text" in statement]
    with env.store.write() as connection:
        connection.execute(chunks.update().values(state="done"))
    assert not client._lacks_metadata("tea")
