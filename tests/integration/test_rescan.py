"""Watched folders, with a real worker: what a re-scan takes in, leaves alone, tries again and deletes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stack import Stack, wait_until
from testing_generators import read

from smart_rag_tasks import names
from smart_rag_tasks.client import Client
from smart_rag_tasks.stages import rescan, timetable
from smart_rag_tasks.stages.environment import environment
from smart_rag_tasks.stages.regeneration import stale_documents

NewStack = Callable[..., Stack]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A worker with the ledger generator; re-scans are sent by the tests."""
    with Stack(tmp_path_factory.mktemp("rescan"), SMART_RAG_SWEEP_SECONDS="1", SMART_RAG_LOST_AFTER="2") as stack:
        stack.ledger_generator()
        stack.enter_environment()
        stack.start_worker()
        stack.leave_environment()
        yield stack


@pytest.fixture
def stack(running: Stack) -> Iterator[Stack]:
    """The same, in this process's environment."""
    running.enter_environment()
    yield running
    running.leave_environment()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two documents, watched."""
    folder = tmp_path / "documents"
    folder.mkdir()
    # texts of the test's own: what was generated for an equal text before is not generated again
    (folder / "one.md").write_text(f"# One\n\nThe first document of {tmp_path}.\n")
    (folder / "two.txt").write_text(f"The second document of {tmp_path}.\n")
    return folder


def scan(folder: Path) -> dict[str, Any]:
    """Send a re-scan, wait for its end; what it found, in numbers."""
    from smart_rag_tasks.celery import app

    def last_at() -> float:
        return float(rescan.last_scans(environment()).get(str(folder), {}).get("at", 0.0))

    before = last_at()
    app.send_task(names.RESCAN, kwargs={"folder": str(folder)}, queue=names.MAINTENANCE)
    wait_until(lambda: last_at() > before, what="the re-scan")
    return rescan.last_scans(environment())[str(folder)]


def records(folder: Path) -> list[dict[str, Any]]:
    """The documents that came from the folder."""
    return [record for record in Client().statuses() if record["source"].startswith(f"{folder}/")]


def statuses(folder: Path, count: int) -> dict[str, str]:
    """Status of each of the folder's documents by its file's name, as soon as ``count`` of them have ended."""

    def ended() -> dict[str, str]:
        found = {Path(record["source"]).name: record["status"] for record in records(folder)}
        return found if len(found) == count and not set(found.values()) & {"queued", "running"} else {}

    found: dict[str, str] = wait_until(ended, what=f"{count} documents")
    return found


def generated(stack: Stack, folder: Path) -> list[int]:
    """How often each chunk of the folder's documents was generated."""
    ids = {record["document_id"] for record in records(folder)}
    return [count for (document_id, _), count in read(stack.ledger).items() if document_id in ids]


def test_new_changed_and_unchanged_files(stack: Stack, folder: Path) -> None:
    timetable.watch(environment(), folder, None)
    assert scan(folder)["ingest"] == 2
    assert statuses(folder, 2) == {"one.md": "completed", "two.txt": "completed"}
    assert generated(stack, folder) == [1, 1]

    assert scan(folder)["ingest"] == 0
    os.utime(folder / "one.md")  # touched, not changed
    assert scan(folder)["ingest"] == 0
    (folder / "two.txt").write_text(f"The second document of {folder}, rewritten.\n")
    assert scan(folder)["ingest"] == 1
    wait_until(lambda: sum(generated(stack, folder)) == 3, what="the changed file")
    statuses(folder, 2)
    assert scan(folder)["ingest"] == 0
    assert sum(generated(stack, folder)) == 3


def test_a_removed_file_takes_its_document_with_it(stack: Stack, folder: Path) -> None:
    timetable.watch(environment(), folder, None)
    Client().submit("by-hand", [{"chunk_id": "c", "text": "not from a file"}])
    scan(folder)
    statuses(folder, 2)
    (folder / "one.md").unlink()
    assert scan(folder)["delete"] == 0  # an editor that saves removes a file for a moment
    assert scan(folder)["delete"] == 1
    wait_until(lambda: len(records(folder)) == 1, what="the deletion")
    assert scan(folder)["delete"] == 0
    assert [Path(record["source"]).name for record in records(folder)] == ["two.txt"]
    assert Client().status("by-hand")


def test_an_unmounted_folder_deletes_nothing(stack: Stack, folder: Path) -> None:
    timetable.watch(environment(), folder, None)
    scan(folder)
    statuses(folder, 2)
    for file in folder.iterdir():
        file.unlink()
    assert "holds no documents any more" in scan(folder)["problem"]
    assert "holds no documents any more" in scan(folder)["problem"]
    shutil.rmtree(folder)
    assert "is not there" in scan(folder)["problem"]
    assert len(records(folder)) == 2


def test_what_is_in_flight_is_left_alone(new_stack: NewStack, folder: Path) -> None:
    stack = new_stack(SMART_RAG_SWEEP_SECONDS="60")
    stack.ledger_generator()
    stack.enter_environment()
    env = environment()
    timetable.watch(env, folder, None)
    first = rescan.rescan(env, str(folder), lambda: 2)
    assert len(first.ingest) == 2
    waiting = rescan.rescan(env, str(folder), lambda: 2)  # sent, and no worker has had it yet
    assert (waiting.ingest, waiting.in_flight) == ([], 2)
    Client().submit_file(folder / "one.md")
    (folder / "one.md").write_text("# Changed while its run waits\n")
    running = rescan.rescan(env, str(folder), lambda: 2)
    assert (running.ingest, running.in_flight) == ([], 2)


def test_failed_chunks_are_tried_again_and_permanent_errors_are_not(stack: Stack, folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    (folder / "later.txt").write_text("raise:4\n")  # three tries of its first run, and one more
    (folder / "never.txt").write_text("wrong:\n")
    timetable.watch(environment(), folder, 1.0)
    scan(folder)
    assert statuses(folder, 2) == {"later.txt": "failed", "never.txt": "failed"}
    wait_until(lambda: scan(folder)["retry"] == 1, what="the retry")
    wait_until(lambda: statuses(folder, 2) == {"later.txt": "completed", "never.txt": "failed"})
    assert sorted(generated(stack, folder)) == [1, 5]
    assert scan(folder)["retry"] == 0


def test_a_file_that_cannot_be_read_is_refused_until_it_changes(stack: Stack, folder: Path) -> None:
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7 this is no PDF")
    timetable.watch(environment(), folder, None)
    scan(folder)
    statuses(folder, 2)
    wait_until(lambda: scan(folder)["refused"] == 1, what="the refusal")
    assert scan(folder)["ingest"] == 0
    (folder / "bad.pdf").unlink()
    (folder / "bad.txt").write_text("now it is a text")
    assert scan(folder)["ingest"] == 1
    assert statuses(folder, 3)["bad.txt"] == "completed"


def test_links_out_of_the_folder_are_not_followed(stack: Stack, folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("not for the store")
    (folder / "link.txt").symlink_to(secret)
    timetable.watch(environment(), folder, None)
    assert scan(folder)["files"] == 2


def test_a_lost_ingest_is_sent_again(stack: Stack, folder: Path) -> None:
    env = environment()
    timetable.watch(env, folder, None)
    assert len(rescan.rescan(env, str(folder), lambda: 0).ingest) == 2  # noted as sent, and never sent
    from smart_rag_tasks.store.schema import watched_files

    with env.store.write() as connection:
        connection.execute(watched_files.update().values(sent_at=1.0))
    assert scan(folder)["ingest"] == 2
    assert set(statuses(folder, 2).values()) == {"completed"}


def test_stale_metadata_is_generated_again(stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from smart_rag_tasks.maintenance import regenerate_stale
    from smart_rag_tasks.stages import environment as process

    timetable.watch(environment(), folder, None)
    scan(folder)
    statuses(folder, 2)
    mine = {record["document_id"] for record in records(folder)}
    options = json.loads(stack.env["SMART_RAG_GENERATOR_OPTIONS"]) | {"version": "2"}
    monkeypatch.setenv("SMART_RAG_GENERATOR_OPTIONS", json.dumps(options))
    process.reset()
    assert mine <= set(stale_documents(environment(), 100))
    regenerate_stale()
    wait_until(lambda: generated(stack, folder) == [2, 2], what="the new version")
    statuses(folder, 2)
    assert not mine & set(stale_documents(environment(), 100))
