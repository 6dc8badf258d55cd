"""A chunk that is handed over alone, by `generate_metadata_for_chunk`, ends truthfully too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ground import QUICK
from stack import Stack, wait_until
from testing_generators import read

from smart_rag_tasks.tasks import generate_metadata_for_chunk


@pytest.fixture
def stack(new_stack: Callable[..., Stack]) -> Stack:
    stack = new_stack(**QUICK.settings, SMART_RAG_SOFT_TIME_LIMIT="2", SMART_RAG_TIME_LIMIT="3")
    stack.ledger_generator()
    stack.start_worker()
    return stack


@pytest.mark.parametrize("word", ["kill", "exit", "hang"])
def test_it_is_put_aside_after_three_tries(stack: Stack, word: str) -> None:
    result: Any = generate_metadata_for_chunk.delay("c1", f"a text with {word}", "single").get(timeout=60)
    assert "failed" == result["status"]
    assert "3 tries" in result["error"]
    assert 3 == read(stack.ledger)["single", "c1"]

    again: Any = generate_metadata_for_chunk.delay("c2", "a text without", "single").get(timeout=30)
    assert "completed" == again["status"]


def test_a_worker_that_is_told_to_stop_is_no_death(new_stack: Callable[..., Stack]) -> None:
    """Three deploys in the middle of a healthy chunk; then it is generated."""
    stack = new_stack(**QUICK.settings | {"SMART_RAG_SOFT_SHUTDOWN": "0.5"})
    stack.ledger_generator(seconds=60)
    result: Any = generate_metadata_for_chunk.delay("c1", "a text", "single")
    for deploy in (1, 2, 3):
        worker = stack.start_worker()
        wait_until(lambda n=deploy: n == read(stack.ledger)["single", "c1"], what=f"try {deploy}")
        stack.stop_worker(worker)

    stack.ledger_generator(seconds=0)
    stack.start_worker()
    assert "completed" == result.get(timeout=30)["status"]
