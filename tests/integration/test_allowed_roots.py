"""A message can name any path; a worker reads only below the folders that are allowed, links followed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stack import Stack, wait_until

from smart_rag_tasks import Client, names
from smart_rag_tasks.errors import InvalidInput
from smart_rag_tasks.stages import environment

SECRET = "The combination is 7-31-4."


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """An allowed folder with a document, and one that is not; links lead from the first to the second."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "tea.txt").write_text("Tea is grown on slopes.")
    (outside / "secret.txt").write_text(SECRET)
    (inside / "link.txt").symlink_to(outside / "secret.txt")
    (inside / "folder").symlink_to(outside)
    return inside, outside


def ways_out(inside: Path, outside: Path) -> list[str]:
    """Paths by which a message could name the file outside."""
    return [
        str(outside / "secret.txt"),
        str(inside / "link.txt"),
        str(inside / "folder/secret.txt"),
        f"{inside}/../outside/secret.txt",
        f"{inside}/folder/../secret.txt",  # what the kernel makes of it: beside the folder that the link names
        f"{inside}-too/tea.txt",
    ]


@pytest.fixture
def touched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folders: tuple[Path, Path]) -> Iterator[list[str]]:
    """Files that this process opens, and programs that it starts, from now on."""
    monkeypatch.setenv("SMART_RAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SMART_RAG_ALLOWED_ROOTS", str(folders[0]))
    environment.reset()
    seen: list[str] = []
    on = True

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if on and event in ("open", "subprocess.Popen"):
            seen.append(f"{event} {arguments[0]}")

    sys.addaudithook(note)  # cannot be taken away again
    yield seen
    on = False
    environment.reset()


@pytest.mark.parametrize("number", range(6))
def test_a_path_that_leads_out_is_refused_and_nothing_is_read(
    touched: list[str], folders: tuple[Path, Path], number: int
) -> None:
    from smart_rag_tasks.tasks import ingest_file

    with pytest.raises(InvalidInput, match=r"outside the folders that workers may read.*SMART_RAG_ALLOWED_ROOTS"):
        ingest_file.run(ways_out(*folders)[number])

    assert not [event for event in touched if "secret" in event or "link" in event or "Popen" in event]


def test_without_allowed_folders_nothing_is_read(
    touched: list[str], folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from smart_rag_tasks.tasks import ingest_file

    monkeypatch.delenv("SMART_RAG_ALLOWED_ROOTS")
    environment.reset()

    with pytest.raises(InvalidInput, match="outside the folders"):
        ingest_file.run(str(folders[0] / "tea.txt"))
    assert not [event for event in touched if "tea.txt" in event]


def test_the_watch_on_open_files_sees_what_is_read(touched: list[str], folders: tuple[Path, Path]) -> None:
    """Else the tests above could not fail."""
    from smart_rag_tasks.stages import files

    files.parse(environment.environment(), folders[0] / "tea.txt")

    assert [event for event in touched if "tea.txt" in event or "Popen" in event]


def test_a_worker_refuses_such_messages_and_works_on(
    new_stack: Callable[..., Stack], folders: tuple[Path, Path]
) -> None:
    stack = new_stack(SMART_RAG_ALLOWED_ROOTS=str(folders[0]))
    stack.ledger_generator()
    stack.start_worker(name="worker")
    from smart_rag_tasks.celery import app

    for path in [*ways_out(*folders), str(folders[0] / "tea.txt")]:
        app.send_task(names.INGEST_FILE, args=[path])

    client, log = Client(), stack.home / "worker.log"
    wait_until(lambda: [each["status"] for each in client.statuses()] == ["completed"], what="the allowed file")
    wait_until(lambda: log.read_text().count("lies outside the folders") >= 6, what="six refusals")
    assert 1 == len(client.document_ids())
    assert SECRET not in log.read_text()
