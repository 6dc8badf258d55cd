"""The same document submitted again while it is worked on: one run, and everybody who waits gets its result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery, chain, chord, group
from stack import Stack, chunks_of, wait_until

from smart_rag_tasks import Client, app, process_document_pipeline
from smart_rag_tasks.announcements import tell
from smart_rag_tasks.models import Chunk
from smart_rag_tasks.settings import load
from smart_rag_tasks.stages import generation, planning
from smart_rag_tasks.stages.environment import Environment, environment
from smart_rag_tasks.stages.finish import finish
from smart_rag_tasks.stages.ingest import Admission, Submission, admit
from smart_rag_tasks.store import Store, outbox, runs

#: Gives its first argument back.
FIRST = app.signature("celery.accumulate", kwargs={"index": 0}, queue="default")


@pytest.fixture
def chunks(document_id: str) -> list[dict[str, Any]]:
    """As many as take a while."""
    return chunks_of(*(f"{document_id} {number}" for number in range(3000)))


def test_whoever_joins_under_an_id_of_his_own_gets_the_result(
    live: Stack, document_id: str, chunks: list[dict[str, Any]]
) -> None:
    first = process_document_pipeline.delay(document_id, chunks)
    ids = [uuid4().hex for _ in range(2)]
    for task_id in (*ids, ids[0]):
        process_document_pipeline.apply_async((document_id, chunks), task_id=task_id)

    final = first.get(timeout=60)
    assert (first.id, 3000) == (final["run_id"], final["processed_chunks"])
    assert [final, final] == [app.AsyncResult(task_id).get(timeout=20) for task_id in ids]


def test_whoever_joins_is_told_of_the_progress_which_never_stands_over_the_result(
    live: Stack, document_id: str, chunks: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = process_document_pipeline.delay(document_id, chunks)
    joined = app.AsyncResult(uuid4().hex)
    process_document_pipeline.apply_async((document_id, chunks), task_id=joined.id)
    Client().pause(document_id)

    tell(environment(), first.id, "generation")
    assert ("PROGRESS", first.id, 3000) == (joined.state, joined.info["run_id"], joined.info["total"])

    Client().resume(document_id)
    final = first.get(timeout=60)
    wait_until(joined.successful)
    monkeypatch.setattr(planning, "progress_of", lambda run, stage: {"stage": stage})  # as if it had ended just now
    tell(environment(), first.id, "generation")
    assert [final, final] == [app.AsyncResult(task_id).result for task_id in (first.id, joined.id)]


def test_whoever_joins_is_told_of_a_cancel(live: Stack, document_id: str, chunks: list[dict[str, Any]]) -> None:
    process_document_pipeline.delay(document_id, chunks)
    task_id = uuid4().hex
    process_document_pipeline.apply_async((document_id, chunks), task_id=task_id)

    Client().cancel(document_id)

    assert "cancelled" == app.AsyncResult(task_id).get(timeout=20)["final_status"]


def test_twice_in_a_group_a_chain_and_a_chord(live: Stack, document_id: str, chunks: list[dict[str, Any]]) -> None:
    again = process_document_pipeline.si

    first, second = group(again(document_id, chunks), again(document_id, chunks))().get(timeout=60)
    assert first == second

    process_document_pipeline.delay(f"{document_id}-chain", chunks)
    chained = chain(again(f"{document_id}-chain", chunks), FIRST).apply_async()
    assert 3000 == chained.get(timeout=60)["processed_chunks"]
    assert chained.get() == chained.parent.get(timeout=20)

    body = chord([again(f"{document_id}-chord", chunks), again(f"{document_id}-chord", chunks)], FIRST).apply_async()
    first, second = body.get(timeout=60)
    assert first == second
    assert [first, second] == body.parent.get(timeout=20)


def test_twice_by_name_in_a_group_a_chain_and_a_chord(
    live: Stack, document_id: str, chunks: list[dict[str, Any]]
) -> None:
    elsewhere = Celery("elsewhere", broker=live.env["REDIS_URL"], backend=live.env["REDIS_URL"])

    def again(name: str) -> Any:
        return elsewhere.signature(
            "process_document_pipeline", args=[document_id + name, chunks], queue="intake_queue", immutable=True
        )

    first_one = elsewhere.signature("celery.accumulate", kwargs={"index": 0}, queue="default")
    first, second = group(again(""), again(""), app=elsewhere)().get(timeout=60)
    assert first == second

    chained = [chain(again("-chain"), first_one.clone(), app=elsewhere).apply_async() for _ in range(2)]
    first, second = (result.get(timeout=60) for result in chained)
    assert first == second
    assert [first, first] == [result.parent.get(timeout=20) for result in chained]

    body = chord([again("-chord"), again("-chord")], app=elsewhere)(first_one)
    first, second = body.get(timeout=60)
    assert first == second
    for result in (*chained, body):
        result.forget()


def test_whoever_joined_gets_the_result_when_all_workers_died(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(SMART_RAG_SWEEP_SECONDS="1", SMART_RAG_LOST_AFTER="3")
    stack.ledger_generator(seconds_per_chunk=0.05)
    stack.enter_environment()
    worker = stack.start_worker()
    chunks = chunks_of(*(f"text {number}" for number in range(60)))
    process_document_pipeline.delay("doc", chunks)
    process_document_pipeline.apply_async(("doc", chunks), task_id="joined")
    wait_until(lambda: stack.ledger.exists())
    stack.kill_worker(worker)

    process_document_pipeline.apply_async(("doc", chunks), task_id="joined-the-dead")
    stack.start_worker()

    final = app.AsyncResult("joined").get(timeout=60)
    assert ("completed", 60) == (final["final_status"], final["processed_chunks"])
    assert final == app.AsyncResult("joined-the-dead").get(timeout=20)


def test_who_joins_while_a_run_is_planned_or_ends_waits_for_that(
    new_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A submission has the document and wants the run, and so has everybody else who writes to both: no deadlock."""
    env = Environment(load(), new_store)

    def submit(run_id: str) -> Admission:
        wish = Submission("doc", [Chunk("c", "text", 0)], "extractive", engine="celery", run_id=run_id)
        return admit(new_store, wish)

    def submit_while(statement: str, work: Callable[[Environment, str], Any], run_id: str) -> Admission:
        """Submit as soon as ``work`` has executed the statement of that name."""
        reached, execute = threading.Event(), getattr(runs, statement)

        def slowly(*arguments: Any) -> Any:
            answer = execute(*arguments)
            reached.set()
            time.sleep(0.2)
            return answer

        with monkeypatch.context() as patch, ThreadPoolExecutor(1) as pool:
            patch.setattr(runs, statement, slowly)
            working = pool.submit(work, env, "first")
            assert reached.wait(10)
            admission = submit(run_id)
            working.result()
        return admission

    assert submit("first").created
    assert "first" == submit_while("plannable", planning.plan, "second").run_id
    generation.run_batch(env, "first", 0)
    assert "third" == submit_while("end", finish, "third").run_id  # the first has ended before

    with new_store.read() as connection:
        assert "completed" == getattr(runs.get(connection, "first"), "status", None)
        told = [row.payload.get("task_id") for row in outbox.due(connection, time.time(), 9)]
    assert ["second", None] == told
