"""What a re-scan of a watched folder decides, without a worker: what it would send is done here."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from smart_rag_tasks import doctor
from smart_rag_tasks.dead_letters import Selection, Source, discard, find
from smart_rag_tasks.errors import InvalidInput
from smart_rag_tasks.monitoring.checks import Subject
from smart_rag_tasks.settings import load
from smart_rag_tasks.stages import files, rescan, timetable
from smart_rag_tasks.stages.environment import Environment
from smart_rag_tasks.stages.finish import finish
from smart_rag_tasks.stages.generation import run_batch
from smart_rag_tasks.stages.ingest import admit, submission_of_file
from smart_rag_tasks.stages.planning import plan
from smart_rag_tasks.store import documents, open_store


class Watched:
    """A watched folder with two documents, and a worker that is this process."""

    def __init__(self, env: Environment, folder: Path) -> None:
        self.env, self.folder = env, folder
        folder.mkdir()
        (folder / "one.md").write_text("# One\n\nThe first document.\n")
        (folder / "two.md").write_text("# Two\n\nThe second document.\n")
        timetable.watch(env, folder, None)

    def scan(self) -> rescan.Scan:
        """A scan, and what is to be done after it, but for deletions."""
        found = rescan.rescan(self.env, str(self.folder), lambda: 0)
        for path in found.ingest:
            self.take_in(Path(path))
        return found

    def take_in(self, path: Path) -> None:
        try:
            with rescan.outcome_noted(self.env, path):
                run_id = admit(
                    self.env.store, submission_of_file(files.parse(self.env, path), generator="extractive")
                ).run_id
        except InvalidInput:
            return
        for number in plan(self.env, run_id).open:
            run_batch(self.env, run_id, number)
        finish(self.env, run_id)

    def refused(self) -> list[str]:
        letters, _ = find(self.env, Selection(source=Source.FILE))
        return [letter.error for letter in letters]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    settings = load(home=tmp_path / "home")
    store = open_store(settings.store_url)
    made = Watched(Environment(settings, store), tmp_path / "papers")
    assert 2 == len(made.scan().ingest)
    yield made
    store.close()


def a_link_out(path: Path) -> None:
    outside = path.parent.parent / "outside.md"
    outside.write_text("not for the store")
    path.symlink_to(outside)


@pytest.mark.parametrize(
    "put",
    [
        lambda path: None,
        Path.mkdir,
        os.mkfifo,
        a_link_out,
        lambda path: path.symlink_to(path),
        lambda path: path.symlink_to(path.with_name("two.md")),
        lambda path: path.symlink_to(path.with_name("nothing.md")),
    ],
    ids=["nothing", "a folder", "a pipe", "a link out", "a link to itself", "a link to another", "a broken link"],
)
def test_a_file_that_something_else_took_the_place_of_is_gone(watched: Watched, put: Callable[[Path], Any]) -> None:
    (watched.folder / "one.md").unlink()
    put(watched.folder / "one.md")

    assert [] == watched.scan().delete
    deleted = watched.scan().delete

    assert 1 == len(deleted) and deleted[0].startswith("one.md-")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_what_cannot_be_looked_at_is_not_gone(watched: Watched, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def away(path: Path, **_: object) -> os.stat_result:
        if path.name == "one.md":
            raise OSError(number, os.strerror(number))
        return os.stat(path)

    monkeypatch.setattr(Path, "lstat", away)
    monkeypatch.setattr(Path, "stat", away)

    for _ in range(3):
        assert [] == watched.scan().delete


class Permissions:
    """Who runs the tests may be root, who may read all: files that are locked here cannot be opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.locked: set[Path] = set()
        opened, accessible = Path.open, os.access

        def open_(path: Path, *args: Any, **options: Any) -> Any:
            if path in self.locked:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return opened(path, *args, **options)

        monkeypatch.setattr(Path, "open", open_)
        monkeypatch.setattr(os, "access", lambda path, mode: path not in self.locked and accessible(path, mode))


@pytest.fixture
def permissions(monkeypatch: pytest.MonkeyPatch) -> Permissions:
    return Permissions(monkeypatch)


def test_a_file_that_may_not_be_read_is_taken_in_when_it_may(
    watched: Watched, permissions: Permissions, caplog: pytest.LogCaptureFixture
) -> None:
    new = watched.folder / "new.md"
    new.write_text("# New\n\nA text.\n")
    permissions.locked = {new}

    for _ in range(2):
        assert ([], 1) == ((found := watched.scan()).ingest, found.refused)
    assert [f"cannot be read ({os.strerror(errno.EACCES)}); check its permissions"] == watched.refused()
    assert 1 == caplog.text.count(f"{new}: cannot be read")

    permissions.locked = set()
    assert [str(new)] == watched.scan().ingest
    assert ([], 0, []) == ((found := watched.scan()).ingest, found.refused, watched.refused())


def test_a_file_that_the_worker_may_not_read_is_taken_in_when_it_may(
    watched: Watched, permissions: Permissions
) -> None:
    new = watched.folder / "new.md"
    new.write_text("# New\n\nA text.\n")
    assert [str(new)] == rescan.rescan(watched.env, str(watched.folder), lambda: 0).ingest
    permissions.locked = {new}
    watched.take_in(new)
    assert 1 == watched.scan().refused

    permissions.locked = set()
    assert [str(new)] == watched.scan().ingest
    assert [] == watched.refused()


def test_a_known_file_that_may_not_be_read_any_more_is_told_of(watched: Watched, permissions: Permissions) -> None:
    one = watched.folder / "one.md"
    os.utime(one, (1, 1))
    permissions.locked = {one}

    assert (1, []) == ((found := watched.scan()).refused, found.delete)
    assert 1 == len(watched.refused())

    permissions.locked = set()
    assert ([], 0) == ((found := watched.scan()).ingest, found.refused)  # its bytes are the same
    assert [] == watched.refused()


def test_an_unreadable_file_that_was_accepted_is_spoken_of_no_more(watched: Watched, permissions: Permissions) -> None:
    new = watched.folder / "new.md"
    new.write_text("# New\n\nA text.\n")
    permissions.locked = {new}
    watched.scan()
    assert 1 == discard(watched.env, find(watched.env, Selection(source=Source.FILE))[0])

    assert 0 == watched.scan().refused
    assert [] == watched.refused()

    permissions.locked = set()
    assert [str(new)] == watched.scan().ingest


@pytest.mark.parametrize(("content", "reason"), [(b"", "the file is empty"), (b"\x00\x01\x02" * 50, "")])
def test_a_known_file_that_became_no_document_is_refused_and_listed_and_its_document_stays(
    watched: Watched, content: bytes, reason: str
) -> None:
    (watched.folder / "one.md").write_bytes(content)

    watched.scan()
    assert (1, []) == ((found := watched.scan()).refused, found.delete)

    (error,) = watched.refused()
    assert reason in error
    subject = Subject(Celery("elsewhere", set_as_current=False), watched.env.settings)
    assert "1 file refused: `smart-rag-tasks dead-letters list --source file`" == doctor.watches(subject)
    with watched.env.store.read() as connection:
        assert {"completed"} == {row.status for row in documents.listing(connection)}
        assert 2 == len(documents.ids(connection))
