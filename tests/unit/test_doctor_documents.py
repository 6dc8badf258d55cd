"""What the doctor says of documents that are not done: real runs in a store, the broker's side made up."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from smart_rag_tasks import names
from smart_rag_tasks.models import Chunk
from smart_rag_tasks.reliability import owners
from smart_rag_tasks.settings import load
from smart_rag_tasks.stages import control
from smart_rag_tasks.stages.diagnosis import BrokerFacts, Waiting, clock, waiting_documents
from smart_rag_tasks.stages.environment import Environment
from smart_rag_tasks.stages.ingest import Submission, admit
from smart_rag_tasks.stages.planning import plan
from smart_rag_tasks.store import open_store
from smart_rag_tasks.store.schema import batches, chunks, runs

ALL = {queue: ["worker1@host"] for queue in names.QUEUES}


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Environment]:
    """A store, and batches of one chunk."""
    options = {"ledger": str(tmp_path / "ledger"), "seconds_per_chunk": 10.0}
    settings = load(generator="testing_generators:LedgerGenerator", generator_options=options, lost_after=10.0)
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    yield Environment(settings, store)
    store.close()


def submitted(env: Environment, document_id: str, chunks: int = 3, **wishes: Any) -> str:
    given = [Chunk(f"c{number}", f"{document_id} {number}", number) for number in range(chunks)]
    wish = Submission(
        document_id, given, env.settings.generator, env.settings.generator_options, engine=names.CELERY, **wishes
    )
    return admit(env.store, wish).run_id


def change(env: Environment, table: Any, run_id: str, **values: Any) -> None:
    with env.store.write() as connection:
        connection.execute(table.update().where(table.c.run_id == run_id).values(values))


def say(env: Environment, document_id: str, waiting: int = 0, served: Any = ALL) -> Waiting:
    """What is said of one document when ``waiting`` messages are in each queue."""
    (found,) = waiting_documents(env, BrokerFacts(dict.fromkeys(names.QUEUES, waiting), served), document_id)
    return found


def test_queued_behind_documents(env: Environment) -> None:
    for name in ("one", "two", "three"):
        submitted(env, name)
    assert say(env, "one", 3).reason == "next in intake_queue, when a worker is free"
    assert say(env, "three", 3).reason == "queued behind 2 documents in intake_queue"
    assert not say(env, "three", 3).wrong


def test_queued_behind_batches(env: Environment) -> None:
    for name in ("one", "two"):
        plan(env, submitted(env, name))
    assert say(env, "two", 6).reason == "0 of 3 batches done, 3 queued behind 3 batches in metadata_queue"


def test_among_all_a_document_is_told_the_same(env: Environment) -> None:
    for number in range(3):
        submitted(env, f"queued {number}")
        plan(env, submitted(env, f"planned {number}"))
        retried = submitted(env, f"retried {number}")
        plan(env, retried)
        change(env, batches, retried, due_at=time.time() + 100)
    broker = BrokerFacts(dict.fromkeys(names.QUEUES, 20), ALL)
    for found in waiting_documents(env, broker):
        assert [found] == waiting_documents(env, broker, found.document_id)
    assert say(env, "queued 2", 20).reason == "queued behind 2 documents in intake_queue"


def test_no_worker_serves_its_queue(env: Environment) -> None:
    submitted(env, "one")
    found = say(env, "one", 1, {"metadata_queue": ["w"]})
    assert found.reason == "no worker serves intake_queue"
    assert found.command == "celery -A smart_rag_tasks worker -Q intake_queue"
    assert found.wrong
    plan(env, submitted(env, "fast", lane="interactive"))
    assert say(env, "fast", 1, {"metadata_queue": ["w"]}).reason == "no worker serves priority_queue"


def test_leased(env: Environment) -> None:
    run_id = submitted(env, "one")
    plan(env, run_id)
    until = time.time() + 9
    change(env, batches, run_id, owner=owners.me(), lease_until=until)
    reason = say(env, "one").reason
    assert reason.startswith(f"0 of 3 batches done, leased by process {os.getpid()} on ")
    assert reason.endswith(f" and 2 more until {clock(until)}")


def test_leased_by_the_dead_or_for_too_long(env: Environment) -> None:
    run_id = submitted(env, "one")
    plan(env, run_id)
    change(env, batches, run_id, owner=f"{owners.host()}|{os.getpid()}|1.00", lease_until=time.time() + 9)
    assert say(env, "one").reason.endswith("which died; taken over within 5 s")
    change(env, batches, run_id, owner="elsewhere/1|77|1.00", lease_until=time.time() - 1)
    assert re.search(
        r"process 77 on elsewhere, whose lease ended at .*; taken over within 5 s$", say(env, "one").reason
    )


def test_waiting_for_a_retry(env: Environment) -> None:
    run_id = submitted(env, "one")
    plan(env, run_id)
    due = time.time() + 100
    change(env, batches, run_id, due_at=due)
    assert (
        say(env, "one").reason
        == f"0 of 3 batches done, waiting for the retry at {clock(due)} (an error that may go away)"
    )
    change(env, chunks, run_id, attempts=1, error_kind="RateLimited")
    assert say(env, "one").reason.endswith(" (RateLimited)")


def test_any_number_that_wait_for_a_retry_take_the_same_statements(env: Environment) -> None:
    seen: list[str] = []
    event.listen(env.store.engine, "before_cursor_execute", lambda _connection, _cursor, said, *_: seen.append(said))
    counts = []
    for number in range(3):
        run_id = submitted(env, f"retried {number}")
        plan(env, run_id)
        change(env, batches, run_id, due_at=time.time() + 100)
        change(env, chunks, run_id, attempts=1, error_kind="RateLimited")
        seen.clear()
        found = waiting_documents(env, BrokerFacts({}, ALL))
        assert all(one.reason.endswith(" (RateLimited)") for one in found)
        counts.append((len(found), len(seen)))
    statements = counts[0][1]
    assert [(1, statements), (2, statements), (3, statements)] == counts


def test_lost_messages(env: Environment) -> None:
    run_id = submitted(env, "one")
    sent = time.time()
    change(env, runs, run_id, published_at=sent)
    found = say(env, "one")
    assert found.reason == f"its entry message is on its way; if it is lost, it is sent again at {clock(sent + 10)}"
    assert not found.wrong  # it mends itself
    change(env, runs, run_id, published_at=sent - 11)
    assert say(env, "one").reason == "its entry message is lost; sent again within 5 s"
    plan(env, run_id)
    change(env, batches, run_id, published_at=sent - 11)
    assert say(env, "one").reason == "0 of 3 batches done, its message is lost; sent again within 5 s"


def test_a_message_that_was_overtaken_is_lost_though_its_queue_is_not_empty(env: Environment) -> None:
    old, new = submitted(env, "old"), submitted(env, "new")
    for run_id in (old, new):
        plan(env, run_id)
    change(env, batches, old, published_at=time.time() - 100)
    change(env, batches, new, published_at=time.time() - 50, started_at=time.time() - 40)
    assert say(env, "old", 5).reason.endswith("its message is lost; sent again within 5 s")


def test_paused_and_at_its_end_and_in_rq(env: Environment) -> None:
    submitted(env, "paused")
    control.pause(env, "paused")
    found = say(env, "paused")
    assert (found.reason, found.command) == ("paused by an operator", "smart-rag-tasks resume paused")
    assert not found.wrong
    run_id = submitted(env, "ending")
    plan(env, run_id)
    change(env, batches, run_id, state="done")
    assert say(env, "ending").reason == "its end: all chunks are settled, the next sweep makes it within 5 s"
    change(env, runs, submitted(env, "old"), engine="rq")
    assert "a worker of RQ" in say(env, "old").reason


def test_without_a_broker_and_when_all_is_done(env: Environment) -> None:
    run_id = submitted(env, "one")
    (found,) = waiting_documents(env, None)
    assert found.reason.startswith("the broker, which does not answer")
    assert found.command == f"check that {env.settings.broker_url} is up"
    assert found.wrong
    control.cancel(env, "one")
    assert waiting_documents(env, None) == []
    assert run_id
