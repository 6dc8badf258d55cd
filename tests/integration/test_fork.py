"""A web server that loads the application, uses it, and forks (gunicorn --preload): no child shares a socket."""

from __future__ import annotations

import os
from collections.abc import Callable

from stack import Stack, chunks_of

from smart_rag_tasks import process_document_pipeline


def fails(name: str) -> int:
    """How many of four documents' ends are not heard of."""
    missed = 0
    for number in range(4):
        try:
            process_document_pipeline.delay(f"{name}-{number}", chunks_of(f"{name} {number}")).get(timeout=5)
        except Exception:
            missed += 1
    return missed


def test_parent_and_children_all_hear_of_their_documents(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack()
    stack.ledger_generator()
    stack.start_worker()
    assert 0 == fails("before")

    children = []
    for number in range(3):
        child = os.fork()
        if child == 0:
            os._exit(fails(f"child {number}"))
        children.append(child)

    assert 0 == fails("parent")
    assert [0, 0, 0] == [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
