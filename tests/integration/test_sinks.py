"""A sink that the workers feed ends with what the store has, whatever went wrong on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from stack import Stack, chunks_of, wait_until

from smart_rag_tasks import Client, process_document_pipeline
from smart_rag_tasks.stages import delivery, sinking
from smart_rag_tasks.stages.environment import environment
from smart_rag_tasks.store.schema import outbox


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("sinks")
    (home / "sink").mkdir()
    with Stack(home, SMART_RAG_SWEEP_SECONDS="1", SMART_RAG_SINK="folder_sink:FolderSink") as stack:
        stack.configure(FOLDER_SINK=str(home / "sink"))
        stack.enter_environment()
        stack.start_worker()
        stack.leave_environment()
        yield stack


@pytest.fixture
def trouble(live: Stack) -> Iterator[Path]:
    """The file that says what goes wrong."""
    file = live.home / "sink" / "trouble"
    yield file
    file.unlink(missing_ok=True)


def entries() -> list[Any]:
    with environment().store.read() as connection:
        return list(connection.execute(outbox.select().order_by(outbox.c.id)))


def tried() -> list[Any]:
    """The entries once each due one was tried."""
    return wait_until(lambda: [entry for entry in entries() if entry.error], what="a try")


def delivered() -> None:
    wait_until(lambda: not entries(), timeout=40, what="the sink")


def sink_of(stack: Stack, document_id: str) -> dict[str, str]:
    files = (stack.home / "sink").glob(f"{quote(document_id, safe='')} *")
    return {file.name.partition(" ")[2]: file.read_text(encoding="utf-8") for file in files}


def store_of(document_id: str) -> dict[str, str]:
    return {chunk["chunk_id"]: chunk["text"] for chunk in Client().document(document_id)["chunks"]}


def ended(document_id: str, *texts: str) -> None:
    process_document_pipeline.delay(document_id, chunks_of(*texts)).get(timeout=20)


def test_a_chunk_that_went_and_came_back_while_the_sink_was_down(live: Stack, trouble: Path) -> None:
    ended("back", "one", "two")
    delivered()
    trouble.write_text("down")
    ended("back", "one")
    tried()
    trouble.unlink()
    ended("back", "one", "two again")
    delivered()
    assert {"c0": "one", "c1": "two again"} == sink_of(live, "back") == store_of("back")


def test_a_document_that_was_deleted_while_the_sink_was_down_and_submitted_again(live: Stack, trouble: Path) -> None:
    ended("again", "one", "two")
    delivered()
    trouble.write_text("down")
    Client().delete("again")
    tried()
    trouble.unlink()
    ended("again", "three")
    delivered()
    assert {"c0": "three"} == sink_of(live, "again") == store_of("again")


def test_a_slow_sink_is_not_overtaken(live: Stack) -> None:
    ended("slow", "slow one", "two", "three")
    time.sleep(0.5)  # it is at it
    ended("slow", "quick one", "two")
    delivered()
    assert {"c0": "quick one", "c1": "two"} == sink_of(live, "slow") == store_of("slow")

    ended("gone", "slow one")
    time.sleep(0.5)
    Client().delete("gone")
    delivered()
    assert {} == sink_of(live, "gone")


def test_what_an_ended_run_left_to_one_that_was_cancelled_reaches_the_sink(live: Stack, trouble: Path) -> None:
    trouble.write_text("down")
    ended("cancelled", "one")
    tried()
    worker = psutil.Process(live.workers[0].pid)
    processes = [worker, *worker.children(recursive=True)]
    for process in processes:
        process.suspend()
    process_document_pipeline.delay("cancelled", chunks_of("one", "two"))
    trouble.unlink()
    Client().cancel("cancelled")
    for process in processes:
        process.resume()
    delivered()
    assert {"c0", "c1"} == set(sink_of(live, "cancelled")) == set(store_of("cancelled"))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("quotes", "ValueError at folder_sink.py:"),
        ("unprintable", "ConnectionError: a b \\\\ud800"),
        ("wordless", "Wordless at folder_sink.py:"),
        ("exits", "SystemExit at folder_sink.py:"),
    ],
)
def test_a_sink_s_error_costs_one_entry_a_while_and_quotes_no_text(
    live: Stack, trouble: Path, what: str, said: str
) -> None:
    trouble.write_text(what)
    ended(what, "The turtle swims to Vienna")
    (entry,) = tried()
    assert entry.error.startswith(said.replace("\\\\", "\\"))
    assert entry.owner is None
    trouble.unlink()
    ended(f"beside {what}", "other words")
    wait_until(lambda: sink_of(live, f"beside {what}"), what="the one behind it")
    ended(what, "The turtle swims to Vienna")  # a newer entry: the older one is due
    delivered()
    assert sink_of(live, what)
    assert "turtle" not in (live.home / "worker1.log").read_text()


def test_a_long_document_is_fed_in_turns_and_goes_on_where_it_stopped(
    live: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    class Noting:
        def upsert(self, records: list[dict[str, Any]]) -> None:
            seen.append([record["chunk_id"] for record in records])

    final = process_document_pipeline.delay("long", chunks_of(*(f"text {number}" for number in range(5)))).get(
        timeout=20
    )
    delivered()
    monkeypatch.setattr(sinking, "load_sink", lambda spec: Noting())
    monkeypatch.setattr(sinking, "SINK_BATCH", 2)
    monkeypatch.setattr(sinking, "TURN", 0.0)
    row = {"document_id": "long", "run_id": final["run_id"], "due_at": 0.0, "created_at": 0.0}
    with environment().store.write() as connection:  # a kind that the worker leaves to us
        connection.execute(outbox.insert().values(kind="sink of ours", **row))
    for _ in range(3):
        delivery.deliver(environment(), {"sink of ours": sinking.feed}, run_id=final["run_id"])
    assert [["c0", "c1"], ["c2", "c3"], ["c4"]] == seen
    assert [] == entries()
