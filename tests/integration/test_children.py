"""Children of a worker that end after their number of tasks."""

from __future__ import annotations

import time
from collections.abc import Callable

from stack import Stack, chunks_of, wait_until

from smart_rag_tasks import process_document_pipeline


def test_a_child_that_ends_does_not_hold_up_the_next_task(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack()
    stack.ledger_generator()
    stack.enter_environment()
    stack.start_worker(WORKER_CONCURRENCY=1, WORKER_MAX_TASKS_PER_CHILD=1)
    begin = time.monotonic()

    ends = [process_document_pipeline.delay(f"d{number}", chunks_of(f"{number} ends quietly")) for number in range(4)]

    wait_until(lambda: all(end.ready() for end in ends), timeout=60)
    # Celery alone looks again after five seconds, each time
    assert time.monotonic() - begin < 8
    assert len({line.split("\t")[2] for line in stack.ledger.read_text().splitlines()}) == 4
