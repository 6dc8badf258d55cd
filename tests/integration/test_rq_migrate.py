"""`migrate` on real queues: nothing lost, foreign jobs left alone, twice changes nothing, clear refusals."""

from __future__ import annotations

import json
import pickle
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis import Redis
from rq import Queue
from rq.job import JobStatus
from rq.serializers import JSONSerializer
from rq_stack import cli, snapshot, start_rq_worker
from stack import Stack, chunks_of, wait_until
from testing_generators import read

from smart_rag_tasks import names, process_document_pipeline
from smart_rag_tasks.celery import app
from smart_rag_tasks.cli import rag
from smart_rag_tasks.client import Client
from smart_rag_tasks.rq_compat import HybridTaskManager
from smart_rag_tasks.rq_compat.canary import send_canary
from smart_rag_tasks.rq_compat.moving import CanaryFailed
from smart_rag_tasks.rq_compat.queues import connect
from smart_rag_tasks.stages import routing
from smart_rag_tasks.stages.environment import environment
from smart_rag_tasks.store.schema import metadata

QUICK = {"SMART_RAG_SWEEP_SECONDS": "1", "SMART_RAG_LOST_AFTER": "3"}
LEGACY = "app.metadata.tasks.generate_metadata_for_chunk"


def submit(count: int, prefix: str = "doc") -> list[Any]:
    return [
        HybridTaskManager().submit_task(
            f"{prefix}-{number}", chunks_of(*(f"{word} of {prefix} {number}" for word in ("one", "two", "three")))
        )
        for number in range(count)
    ]


def generated(stack: Stack, prefix: str) -> Counter[int]:
    """How many chunks of these documents were generated once, twice, …"""
    return Counter(count for (name, _), count in read(stack.ledger).items() if name.startswith(prefix))


def move(stack: Stack, direction: str, *words: str) -> dict[str, Any]:
    done = cli(stack, "migrate", direction, "--yes", "--json", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def turn(ratio: float) -> None:
    env = environment()
    with env.store.write() as connection:
        routing.turn_switch(env.store, connection, routing.Switch(ratio))
    routing._seen.clear()


# -- with workers


def test_back_to_rq_and_forward_again(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(**QUICK)
    stack.ledger_generator()
    stack.enter_environment()
    broker = Redis.from_url(stack.redis.url)

    # no Celery worker: everything waits there
    runs = submit(12, "back")
    waited_for = process_document_pipeline.delay("waited-for", chunks_of("somebody waits for this one"))
    chunk = app.send_task(names.GENERATE_METADATA_FOR_CHUNK, ("c1", "a single text", "single"), queue="metadata_queue")
    whole = app.send_task(names.PROCESS_DOCUMENT_PIPELINE, ("by-message", chunks_of("a", "b")), queue="intake_queue")
    foreign = app.send_task("shop.send_invoice", (7,), queue="default")
    assert broker.llen("intake_queue") == 14

    workers = start_rq_worker(stack)
    outcome = move(stack, "rollback")
    assert (outcome["moved"], outcome["problems"]) == ({"runs": 13, "messages": 13, "singles": 2}, [])
    assert outcome["foreign"] == {"shop.send_invoice (unknown function)": 1}
    assert broker.llen("intake_queue") == broker.llen("metadata_queue") == 0 and broker.llen("default") == 1
    assert {run.get(timeout=60).final_status for run in runs} == {"completed"}
    assert generated(stack, "back") == {1: 36}
    # results arrive where they are waited for
    assert waited_for.get(timeout=30)["final_status"] == "completed"
    assert chunk.get(timeout=30)["status"] == "completed" and read(stack.ledger)["single", "c1"] == 1
    assert whole.get(timeout=30)["processed_chunks"] == 2
    stack.stop_worker(workers)
    foreign.forget()

    # and forward, from what an older installation has beside our own jobs
    redis = connect()
    old = Queue("metadata_queue", connection=redis, serializer=JSONSerializer)
    retry = old.enqueue_in(timedelta(hours=1), LEGACY, "c2", "waits for its retry", "single")
    Queue("metadata_queue", connection=redis).enqueue(LEGACY, "c", "pickled", "d")
    runs = submit(12, "forth")
    assert {run.engine for run in runs} == {"rq"}
    stack.start_worker()
    outcome = move(stack, "forward")
    assert (outcome["moved"], outcome["problems"]) == ({"runs": 12, "messages": 12, "singles": 1}, [])
    assert outcome["foreign"] == {f"{LEGACY} (pickled)": 1} and redis.llen("rq:queue:metadata_queue") == 1
    assert {run.get(timeout=60).final_status for run in runs} == {"completed"}
    assert generated(stack, "forth") == {1: 36}
    wait_until(lambda: read(stack.ledger)["single", "c2"] == 1)
    assert retry.get_status() == JobStatus.CANCELED

    before = snapshot(redis, "rq:*")
    again = move(stack, "forward")
    assert (again["unchanged"], again["moved"]) == (True, {})
    assert snapshot(redis, "rq:*") == before


# -- without workers: the commands in this process


def here(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(rag, words, env=environment)


def move_here(*words: str) -> dict[str, Any]:
    done = here("migrate", *words, "--yes", "--json")
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def module_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("migrate"), **QUICK) as stack:
        stack.ledger_generator()
        stack.enter_environment()
        yield stack


@pytest.fixture
def stack(module_stack: Stack) -> Stack:
    """Nobody works here; Redis and store are empty."""
    connect().flushall()
    with environment().store.write() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
    routing._seen.clear()
    return module_stack


def test_only_documents_beyond_the_ratio_move(stack: Stack) -> None:
    submit(30)
    outcome = move_here("rollback", "--to-ratio", "0.5", "--force")
    there = {f"doc-{number}" for number in range(30) if routing.share_of(f"doc-{number}") >= 0.5}
    assert outcome["moved"]["runs"] == outcome["moved"]["messages"] == len(there)
    assert connect().llen("rq:queue:intake_queue") == len(there)
    assert connect().llen("intake_queue") == 30 - len(there)
    assert outcome["after"]["under way on celery"] == 30 - len(there)


def test_a_dry_run_changes_nothing_and_lists_what_is_foreign(stack: Stack) -> None:
    redis = connect()
    turn(0.0)
    submit(2)
    Queue("metadata_queue", connection=redis).enqueue(LEGACY, "c", "text", "d")  # RQ's default serializer: pickle
    Queue("default", connection=redis, serializer=JSONSerializer).enqueue("shop.mail.send_invoice", 7)
    before = snapshot(redis)
    dry = here("migrate", "forward", "--dry-run", "--json")
    assert json.loads(dry.stdout) == {
        "runs": 2,
        "messages": 2,
        "singles": 0,
        "held": 0,
        "foreign": {f"{LEGACY} (pickled)": 1, "shop.mail.send_invoice (unknown function)": 1},
    }
    assert snapshot(redis) == before
    assert HybridTaskManager().use_celery_ratio == 0.0


def test_no_workers_there_is_refused_unless_forced(stack: Stack) -> None:
    submit(1)
    refused = here("migrate", "rollback", "--yes")
    assert refused.exit_code == 3
    assert "smart-rag-tasks rq worker" in refused.stderr and "--force" in refused.stderr
    assert HybridTaskManager().use_celery_ratio == 1.0
    assert move_here("rollback", "--force")["moved"]["runs"] == 1


def test_a_canary_that_does_not_come_back_is_an_error_and_leaves_nothing(stack: Stack) -> None:
    with pytest.raises(CanaryFailed, match="queued"):
        send_canary(environment(), "rq", timeout=0.3)
    assert Client().document_ids() == []


@pytest.mark.parametrize("value", ["1.5", "yes please"])
def test_a_wrong_ratio_is_refused(stack: Stack, value: str) -> None:
    refused = here("migrate", "rollback", "--yes", "--to-ratio", value)
    assert refused.exit_code == 2 and refused.stderr.count("\n") == 1 and "ratio" in refused.stderr


def test_the_wrong_direction_is_refused(stack: Stack) -> None:
    backwards = here("migrate", "forward", "--to-ratio", "0.5", "--yes")
    assert backwards.exit_code == 2 and "rollback" in backwards.stderr


def test_redis_away_is_said_in_one_line(stack: Stack) -> None:
    done = cli(stack, "migrate", "rollback", "--yes", REDIS_URL="redis://127.0.0.1:1/0")
    assert done.returncode == 1 and "does not answer" in done.stderr and "Traceback" not in done.stderr


def test_assess_reads_a_legacy_installation_and_changes_nothing(stack: Stack) -> None:
    redis = connect()
    old = Queue("metadata_queue", connection=redis)
    for number in range(5):
        old.enqueue(LEGACY, f"c{number}", "text", "d", job_timeout="10m")
    job = Queue("metadata_queue", connection=redis, serializer=JSONSerializer).enqueue(LEGACY, "c9", "text", "d")
    redis.lrem("rq:queue:metadata_queue", 1, job.id)
    redis.zadd("rq:scheduled:metadata_queue", {job.id: 1_000_000_000})  # a retry, due long ago
    before = snapshot(redis)
    done = here("migrate", "assess", "--json")
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["would_stay"] == {f"{LEGACY}: pickled": 5}
    assert report["would_move"] == {"smart_rag_tasks.generate_metadata_for_chunk (scheduled)": 1}
    assert report["rq"]["without_scheduler"] == ["metadata_queue"]
    told = " ".join(report["risks"])
    assert "pickled jobs: 5" in told and "no scheduler" in told and "overdue" in told
    shown = here("migrate", "assess")
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert snapshot(redis) == before


def test_a_pickle_is_never_opened(stack: Stack) -> None:
    redis, proof = connect(), stack.home / "opened"

    class Bomb:
        def __reduce__(self) -> Any:
            return (proof.touch, ())

    job = Queue("metadata_queue", connection=redis).enqueue("some.function", 1)
    redis.hset(job.key, "data", zlib.compress(pickle.dumps(("some.function", None, (Bomb(),), {}))))
    assert here("migrate", "assess").exit_code == 0
    assert here("migrate", "forward", "--dry-run").exit_code == 0
    assert not proof.exists()
