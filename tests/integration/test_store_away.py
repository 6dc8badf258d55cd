"""A producer without the store sends its chunks, and just then the store is away: the message must not be lost."""

from __future__ import annotations

from collections.abc import Callable

from stack import Stack, chunks_of, wait_until

from smart_rag_tasks import names


def test_chunks_in_a_message_wait_until_the_store_is_back(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(SMART_RAG_SWEEP_SECONDS=1)
    late = stack.home / "late.db"
    late.mkdir()  # SQLite cannot open a folder
    stack.ledger_generator()
    stack.configure(SMART_RAG_STORE_URL=f"sqlite:///{late}")
    stack.start_worker(name="worker")
    from smart_rag_tasks.celery import app

    result = app.send_task(names.PROCESS_DOCUMENT_PIPELINE, args=["by-message", chunks_of("Tea.", "Enjoy.")])
    log = stack.home / "worker.log"
    wait_until(lambda: log.read_text().count("process_document_pipeline") >= 3, what="a first try")
    assert not result.ready()
    late.rmdir()

    final = result.get(timeout=40)
    assert ("completed", 2) == (final["final_status"], final["processed_chunks"])
