"""The counts that the database keeps by itself agree with what is in its tables, whatever was done to them."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, select

from smart_rag_tasks.models import TERMINAL, Chunk
from smart_rag_tasks.settings import load
from smart_rag_tasks.stages import control, generation, planning
from smart_rag_tasks.stages.environment import Environment
from smart_rag_tasks.stages.finish import finish
from smart_rag_tasks.stages.ingest import Submission, admit
from smart_rag_tasks.store import tallies
from smart_rag_tasks.store.engine import Store

GENERATOR = "desk_generator:DeskGenerator"


@pytest.fixture
def env(new_store: Store) -> Environment:
    return Environment(load(max_batch=4), new_store)


def submit(env: Environment, document_id: str, *texts: str, **wishes: Any) -> str:
    chunks = [Chunk(f"c{number}", f"{document_id} {each}") for number, each in enumerate(texts)]
    return admit(env.store, Submission(document_id, chunks, GENERATOR, **wishes)).run_id


def work(env: Environment, run_id: str, end: bool = True) -> None:
    for number in planning.plan(env, run_id).open:
        generation.run_batch(env, run_id, number)
    if end:
        finish(env, run_id)


def counted(store: Store) -> dict[tuple[str, str], float]:
    with store.read() as connection:
        return {key: value for key, value in tallies.totals(connection).items() if value}


def truth(store: Store) -> dict[tuple[str, str], float]:
    """Documents by status and chunks that wait, counted row by row."""
    from smart_rag_tasks.store.schema import documents, runs

    with store.read() as connection:
        by_status = connection.execute(select(documents.c.status, func.count()).group_by(documents.c.status)).all()
        left = runs.c.total - runs.c.done - runs.c.failed - runs.c.unchanged
        waiting = connection.execute(select(func.sum(left)).where(runs.c.status.not_in(TERMINAL))).scalar()
    found = {("documents", status): float(count) for status, count in by_status}
    return found | ({("chunks_waiting", ""): float(waiting)} if waiting else {})


def agree(env: Environment) -> dict[tuple[str, str], float]:
    found = counted(env.store)
    assert truth(env.store) == {key: value for key, value in found.items() if key[0] in ("documents", "chunks_waiting")}
    return found


def test_the_counts_follow_every_way_a_document_goes(env: Environment) -> None:
    work(env, submit(env, "good", *"abcdefgh"))
    work(env, submit(env, "mixed", "a", "FAIL", "b"))
    work(env, submit(env, "empty"))
    submit(env, "queued", *"abc")
    work(env, submit(env, "stopped", *"abcdefgh"), end=False)
    submit(env, "cancelled", *"ab")
    control.cancel(env, "cancelled")
    submit(env, "paused", *"abcde")
    control.pause(env, "paused")
    submit(env, "newer", *"ab")
    submit(env, "newer", *"abc")
    found = agree(env)
    assert found["runs_ended", "cancelled"] == 2
    assert found["chunks_settled", "generated"] == 8 + 2 + 8
    assert found["chunks_settled", "failed"] == 1
    assert found["chunk_errors", "ValueError"] >= 1
    assert found["runs_submitted", "bulk"] == 9
    control.resume(env, "paused")
    control.delete(env, "good")
    control.delete(env, "queued")
    assert ("documents", "completed") not in agree(env)


def test_unchanged_chunks_are_told_apart(env: Environment) -> None:
    work(env, submit(env, "d", *"abc"))
    work(env, submit(env, "d", *"abcd"))
    found = agree(env)
    assert found["chunks_settled", "unchanged"] == 3
    assert found["chunks_settled", "generated"] == 4


def test_histograms_have_one_entry_an_event(env: Environment) -> None:
    for number in range(3):
        work(env, submit(env, f"d{number}", *"abcdef"))
    found = counted(env.store)
    for name, events in (("run_seconds", 3), ("batch_seconds", 6)):
        buckets = Counter({label: count for (each, label), count in found.items() if each == name})
        assert buckets.total() == events
        assert all("|" in label for label in buckets)
        assert 0 < sum(tallies.labelled(found, f"{name}_sum").values()) < 60


def test_adding_up_changes_nothing_and_can_be_done_by_several_at_once(env: Environment) -> None:
    for number in range(20):
        work(env, submit(env, f"d{number}", *"abcdef"))
    before = counted(env.store)

    def fold() -> None:
        for _ in range(30):
            with env.store.write() as connection:
                tallies.fold(env.store, connection, limit=10)

    threads = [threading.Thread(target=fold) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with env.store.write() as connection:
        tallies.fold(env.store, connection)
    with env.store.read() as connection:
        assert not tallies.waiting(connection)
    assert {key: pytest.approx(value) for key, value in before.items()} == counted(env.store)
    agree(env)
