"""``dead-letters``, as a person uses it: real chunks that failed, files that are refused, messages nobody can take."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from stack import Stack, chunks_of, wait_until
from testing_generators import read

from smart_rag_tasks import dead_list, maintenance, names
from smart_rag_tasks.celery import app
from smart_rag_tasks.cli import rag
from smart_rag_tasks.client import Client
from smart_rag_tasks.stages import timetable
from smart_rag_tasks.stages.environment import environment
from smart_rag_tasks.store.schema import outbox


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A worker whose vector store is down at first."""
    home = tmp_path_factory.mktemp("dead")
    with Stack(home, SMART_RAG_SWEEP_SECONDS="1", SMART_RAG_SINK="testing_sinks:FileSink") as stack:
        stack.configure(TEST_SINK=str(home / "sink.log"))
        stack.ledger_generator()
        stack.enter_environment()
        stack.start_worker()
        stack.leave_environment()
        yield stack


@pytest.fixture
def stack(running: Stack) -> Iterator[Stack]:
    running.enter_environment()
    yield running
    running.leave_environment()


def command(*words: str, answer: str = "") -> tuple[int, str, str]:
    """``smart-rag-tasks dead-letters …``: exit code, standard output, standard error."""
    done = CliRunner().invoke(rag, ["dead-letters", *words], input=answer)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def listed(*words: str) -> list[dict[str, Any]]:
    code, out, _ = command("list", "--json", *words)
    assert code == 0
    found: list[dict[str, Any]] = json.loads(out)
    return found


def ended(document_id: str, *texts: str) -> None:
    """Submit a document, wait for its end."""
    Client().result(Client().submit(document_id, chunks_of(*texts)).run_id, timeout=30)


def test_failed_chunks_by_document_kind_and_age(stack: Stack) -> None:
    ended("first", "good", "wrong: a", "raise:4")
    ended("second", "wrong: b")
    assert {(item["document_id"], item["what"], item["kind"]) for item in listed()} == {
        ("first", "c1", "ValueError"),
        ("first", "c2", "RuntimeError"),
        ("second", "c0", "ValueError"),
    }
    assert len(listed("--kind", "ValueError")) == 2
    assert len(listed("--document", "first")) == 2
    assert listed("--older-than", "1h") == []
    code, out, _ = command("list")
    assert (code, out.splitlines()[0]) == (0, "Dead letters: 3 chunks.")
    assert all(len(line) <= 80 for line in out.splitlines())

    letter = listed("--document", "second")[0]["id"]
    _, shown, _ = command("show", letter)
    assert "ValueError" in shown
    assert "this chunk will never do" in shown
    assert "Traceback" in shown
    assert "wrong: b" in shown  # the text, to who asks for this chunk


def test_retry_takes_the_selected_chunks_only(stack: Stack) -> None:
    before = read(stack.ledger)
    code, out, _ = command("retry", "--document", "first", "--kind", "RuntimeError")
    assert code == 0, out
    wait_until(lambda: Client().document("first")["chunks"][2]["status"] == "done", what="the retried chunk")
    assert [item["what"] for item in listed("--document", "first")] == ["c1"]
    assert set(read(stack.ledger) - before) == {("first", "c2")}
    wait_until(lambda: Client().status("first")["status"] == "completed_with_errors", what="the run's end")


def test_discarded_chunks_stay_stored_and_are_told_of_no_more(stack: Stack) -> None:
    letter = listed("--document", "second")[0]["id"]
    assert command("discard", letter)[0] == 0
    assert listed("--document", "second") == []
    assert Client().document("second")["chunks"][0]["text"] == "wrong: b"
    code, _, err = command("discard", letter)
    assert code == 2
    assert f"{letter}: no such dead letter" in err


def test_all_asks_first_and_nothing_selected_is_refused(stack: Stack) -> None:
    assert command("discard")[0] == 2
    code, _, err = command("discard", "--all", answer="n\n")
    assert (code, "Discard all of them?" in err) == (1, True)
    assert len(listed()) == 1
    assert command("discard", "--all", "--yes")[0] == 0
    code, out, _ = command("list")
    assert (code, out.strip()) == (0, "No dead letters.")


def test_malformed_messages(stack: Stack) -> None:
    client = redis.Redis.from_url(stack.env["REDIS_URL"])
    client.lpush(names.METADATA_QUEUE, b"this is no message")
    message = wait_until(lambda: listed("--source", "message"), what="the dead message")[0]
    assert "metadata_queue" in message["what"]
    assert "not JSON" in message["error"]
    _, shown, _ = command("show", message["id"])
    assert "this is no message" in shown
    assert command("retry", message["id"])[0] == 0  # to its queue; a worker puts it aside again
    again = wait_until(
        lambda: [item for item in listed("--source", "message") if item["id"] != message["id"]],
        what="the same message again",
    )
    assert command("discard", again[0]["id"])[0] == 0
    assert listed() == []


def test_malformed_messages_under_a_key_prefix(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.conf, "broker_transport_options", {"global_keyprefix": "rag:"})
    client = redis.Redis.from_url(stack.env["REDIS_URL"])
    key = f"rag:{dead_list.DEAD_LIST}"
    for raw in (b"this is no message", b"nor is this"):
        dead_list.bury(client, "idle", "not JSON", raw, key=key)
    newer, older = (item["id"] for item in listed("--source", "message"))
    assert "this is no message" in command("show", older)[1]
    assert 0 == command("retry", older)[0]
    assert [b"this is no message"] == client.lrange("rag:idle", 0, -1)
    assert 0 == command("discard", newer)[0]
    assert [] == listed()

    client.delete(key)
    client.xadd(key, {"queue": "idle"}, id=f"{int((time.time() - 2 * dead_list.EXPIRES) * 1000)}-0")
    assert 1 == maintenance.expire()["messages"]
    assert 0 == dead_list.count(client, key=key)


def test_refused_files(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7 this is no PDF")
    timetable.watch(environment(), folder, None)
    app.send_task(names.RESCAN, kwargs={"folder": str(folder)}, queue=names.MAINTENANCE)
    letter = wait_until(lambda: listed("--source", "file"), what="the refused file")[0]
    assert letter["what"].endswith("bad.pdf")
    assert command("discard", letter["id"])[0] == 0
    assert listed() == []
    timetable.unwatch(environment(), folder)


def test_deliveries_that_keep_failing(stack: Stack) -> None:
    down = Path(stack.env["TEST_SINK"]).with_suffix(".down")
    down.touch()
    ended("third", "good, and new")

    def late() -> None:  # as if its pauses were over
        with environment().store.write() as connection:
            connection.execute(outbox.update().where(outbox.c.lease_until.is_(None)).values(due_at=0.0))

    def stubborn() -> list[dict[str, Any]]:
        late()
        return listed("--source", "delivery")

    letter = wait_until(stubborn, timeout=40, what="a delivery that failed three times")[0]
    assert (letter["document_id"], letter["kind"]) == ("third", "ConnectionError")
    down.unlink()
    assert command("retry", "--document", "third")[0] == 0
    wait_until(lambda: listed() == [], what="the delivery")
    assert '["upsert", ["c0"]]' in Path(stack.env["TEST_SINK"]).read_text()
