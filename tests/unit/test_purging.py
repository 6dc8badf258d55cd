"""Purging a queue on a broker that is not Redis: kombu's own in memory stands for RabbitMQ's protocol here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from smart_rag_tasks import names
from smart_rag_tasks.errors import StoreUnavailable
from smart_rag_tasks.models import Chunk
from smart_rag_tasks.monitoring import purging
from smart_rag_tasks.monitoring.broker import open_broker
from smart_rag_tasks.settings import load
from smart_rag_tasks.stages import control
from smart_rag_tasks.stages.environment import Environment
from smart_rag_tasks.stages.ingest import Submission, admit
from smart_rag_tasks.store import documents, open_store

CHUNKS = [{"chunk_id": "c", "text": "Oil the hinge."}]


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Environment]:
    settings = load(home=tmp_path)
    store = open_store(settings.store_url)
    yield Environment(settings, store)
    store.close()


@pytest.fixture
def app(env: Environment) -> Iterator[Celery]:
    app = Celery("elsewhere", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.task_queues = ()
    yield app
    with app.connection_for_write() as connection:
        for queue in names.QUEUES:
            connection.default_channel.queue_delete(queue)


def status(env: Environment, document_id: str) -> str:
    with env.store.read() as connection:
        return str(documents.get(connection, document_id).status)


def length(app: Celery, queue: str) -> int:
    with open_broker(app) as broker:
        return broker.length(queue)


def test_a_document_that_only_its_message_had_is_stored_and_paused(app: Celery, env: Environment) -> None:
    app.send_task(names.PROCESS_DOCUMENT_PIPELINE, ["foreign.md", CHUNKS], queue="intake_queue")
    bad = app.send_task(names.PROCESS_DOCUMENT_PIPELINE, ["bad.md", [{"text": 5}]], queue="intake_queue")

    purged = purging.purge(app, env, "intake_queue")

    assert (2, {"foreign.md"}) == (purged.messages, purged.documents)
    assert {names.PROCESS_DOCUMENT_PIPELINE: 1} == purged.dropped
    assert "paused" == status(env, "foreign.md")
    assert "REVOKED" == bad.state
    assert 0 == length(app, "intake_queue")


def test_the_runs_whose_messages_go_are_paused(app: Celery, env: Environment) -> None:
    run_id = admit(env.store, Submission("doc", [Chunk("c", "text")], "extractive", engine="celery")).run_id
    for number in range(3):
        args = ["doc", run_id, number]
        app.send_task(names.GENERATE_BATCH, args, queue="metadata_queue", headers={"run_id": run_id})

    purged = purging.purge(app, env, "metadata_queue")

    assert (3, {"doc"}, {}) == (purged.messages, purged.documents, purged.dropped)
    assert "paused" == status(env, "doc")


def test_a_message_that_could_not_be_dealt_with_stays(
    app: Celery, env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.send_task(names.PROCESS_DOCUMENT_PIPELINE, ["foreign.md", CHUNKS], queue="intake_queue")

    def away(*_: object) -> None:
        raise StoreUnavailable("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(control, "pause", away)
        with pytest.raises(StoreUnavailable):
            purging.purge(app, env, "intake_queue")

    assert 1 == length(app, "intake_queue")
    assert {"foreign.md"} == purging.purge(app, env, "intake_queue").documents


def test_bytes_that_are_no_task_are_dropped(app: Celery, env: Environment) -> None:
    with app.connection_for_write() as connection, connection.SimpleQueue("intake_queue") as queue:
        queue.put("anything")
        queue.producer.publish(
            b"\xff",
            routing_key="intake_queue",
            content_type="application/json",
            content_encoding="utf-8",
            headers={"task": names.PROCESS_DOCUMENT_PIPELINE, "id": "x"},
        )

    assert 2 == purging.purge(app, env, "intake_queue").messages
