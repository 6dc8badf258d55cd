"""The result backend when Redis is away: what it is told is not lost, and a broken chord is no result."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import BackendStoreError
from sqlalchemy import text
from stack import Stack, chunks_of

from smart_rag_tasks import Client, app
from smart_rag_tasks.announcements import settle
from smart_rag_tasks.names import GENERATE_BATCH, POSTPROCESS_RESULTS

NewStack = Callable[..., Stack]


@pytest.fixture
def impatient(new_stack: NewStack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack whose backend tries twice instead of for a minute."""
    stack = new_stack()
    monkeypatch.setattr(app.backend, "max_retries", 1)
    return stack


def outbox(client: Client) -> list[Any]:
    with client.env.store.read() as connection:
        return list(connection.execute(text("SELECT kind, run_id FROM outbox")))


def test_a_runs_result_that_redis_does_not_take_goes_to_the_outbox(impatient: Stack) -> None:
    client = Client()
    run_id = client.submit("d", chunks_of("one")).run_id
    impatient.redis.kill()

    final = {"document_id": "d", "run_id": run_id, "final_status": "completed"}
    app.backend.mark_as_done(run_id, final)

    assert [("result", run_id)] == outbox(client)
    impatient.redis.start()


def test_any_other_result_is_its_tasks_failure(impatient: Stack) -> None:
    impatient.redis.kill()
    with pytest.raises(BackendStoreError):
        app.backend.mark_as_done("somebody-elses", {"answer": 42})
    impatient.redis.start()


def test_a_chord_that_cannot_be_told_fails_no_batch(impatient: Stack) -> None:
    impatient.redis.kill()
    header = SimpleNamespace(id="batch", group="chord", group_index=0, chord={}, task=GENERATE_BATCH)

    app.backend.on_chord_part_return(header, "SUCCESS", 5)  # plain Celery raises, and makes it the run's failure

    impatient.redis.start()


def test_a_broken_chord_of_ours_is_no_result(impatient: Stack) -> None:
    client = Client()
    run_id = client.submit("d", chunks_of("one")).run_id
    body = app.signature(POSTPROCESS_RESULTS, kwargs={"run_id": run_id}, task_id=run_id)

    app.backend.chord_error_from_stack(body, RuntimeError("a header broke"))

    assert "PENDING" == app.AsyncResult(run_id).state
    assert not settle(client.env, run_id)  # the store decides, and it says: not yet
