"""What dies or hangs on RQ's side: time limits, killed workers, jobs lost between queue and worker."""

from __future__ import annotations

import time
from collections.abc import Callable

from redis import Redis
from rq.job import JobStatus
from rq_stack import start_rq_worker
from stack import Stack, chunks_of, wait_until
from testing_generators import read

from smart_rag_tasks import settings
from smart_rag_tasks.client import Client
from smart_rag_tasks.rq_compat import HybridTaskManager
from smart_rag_tasks.rq_compat.monitor import RQMonitor
from smart_rag_tasks.rq_compat.queues import connect

QUICK = {"USE_CELERY": "false", "SMART_RAG_SWEEP_SECONDS": "1", "SMART_RAG_LOST_AFTER": "3"}


def states(document_id: str) -> dict[str, str]:
    return {chunk["chunk_id"]: chunk["status"] for chunk in Client().document(document_id)["chunks"]}


def test_slow_and_hanging_chunks_meet_celerys_limits(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(**QUICK, SMART_RAG_SOFT_TIME_LIMIT="1", SMART_RAG_TIME_LIMIT="2")
    stack.ledger_generator()
    stack.enter_environment()
    start_rq_worker(stack)
    slow = settings.load(generator_options={"ledger": str(stack.ledger), "seconds": 30})
    soft = HybridTaskManager(settings=slow).submit_task("slow", chunks_of("never in time"))
    hard = HybridTaskManager().submit_task("deaf", chunks_of("good", "hang"))
    assert soft.get(timeout=60).final_status == "failed"
    assert Client().document("slow")["chunks"][0]["error"]["kind"] == "SoftTimeLimitExceeded"
    assert hard.get(timeout=90).final_status == "completed_with_errors"
    assert states("deaf") == {"c0": "done", "c1": "quarantined"}


def test_a_killed_worker_costs_a_document_seconds(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(**QUICK)
    stack.ledger_generator(seconds=0.02)
    stack.enter_environment()
    worker = start_rq_worker(stack)
    run = HybridTaskManager().submit_task("long", chunks_of(*(f"text {n}" for n in range(400))))
    wait_until(lambda: len(read(stack.ledger)) > 40)
    stack.kill_worker(worker)
    killed = time.monotonic()
    before = len(read(stack.ledger))
    start_rq_worker(stack, name="second")
    wait_until(lambda: len(read(stack.ledger)) > before, timeout=40, what="work to go on")
    assert time.monotonic() - killed < 40
    end = run.get(timeout=60)
    bad = [chunk["error"] for chunk in Client().document("long")["chunks"] if chunk["error"]]
    assert (end.processed_chunks, bad) == (400, [])
    twice = [key for key, count in read(stack.ledger).items() if count > 1]
    assert len(twice) <= 2 * 64  # what the two slots had in their hands


def take_as_a_worker_that_dies(redis: Redis) -> str:
    taken = redis.lmove("rq:queue:metadata_queue", "rq:queue:metadata_queue:intermediate")
    assert taken is not None
    return str(taken.decode() if isinstance(taken, bytes) else taken)


def test_a_chunk_whose_worker_is_killed_is_done_in_under_two_minutes(new_stack: Callable[..., Stack]) -> None:
    """With RQ's defaults this takes 14 minutes, and never happens for a job that was taken and not begun."""
    stack = new_stack(**QUICK)
    stack.ledger_generator(seconds=1.5)
    stack.enter_environment()
    manager = HybridTaskManager()
    lost = manager.submit_chunk("taken", "in nobody's hands", "singles")
    take_as_a_worker_that_dies(connect())
    begun = manager.submit_chunk("begun", "in the hands of the dead", "singles")
    worker = start_rq_worker(stack, count=1)
    wait_until(lambda: begun.get_status() == JobStatus.STARTED)
    stack.kill_worker(worker)
    killed = time.monotonic()
    start_rq_worker(stack, count=1, name="second")
    for job in (lost, begun):
        wait_until(
            lambda job=job: job.get_status() == JobStatus.FINISHED,
            timeout=115 - (time.monotonic() - killed),
            what=f"{job.id}, {job.get_status()}",
        )
    assert time.monotonic() - killed < 115
    assert RQMonitor().queue("metadata_queue").intermediate == 0
