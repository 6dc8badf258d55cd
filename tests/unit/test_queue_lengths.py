"""How many messages wait, on a broker that is not Redis: kombu's own in memory stands for RabbitMQ's protocol here."""

from __future__ import annotations

import pytest
from celery import Celery

from smart_rag_tasks.instrumentation import metrics
from smart_rag_tasks.monitoring import samples
from smart_rag_tasks.monitoring.checks import Subject
from smart_rag_tasks.settings import load
from smart_rag_tasks.transport import is_redis, queue_lengths


def test_a_broker_that_is_not_redis_is_asked_by_declaring() -> None:
    app = Celery("elsewhere", broker="memory://")
    app.conf.task_queues = ()
    with app.connection_for_write() as connection:
        for number in range(3):
            connection.SimpleQueue("metadata_queue").put({"number": number})

        with queue_lengths(app) as length:
            assert (3, 0) == (length("metadata_queue"), length("nobody_declared_it"))
    assert not is_redis(app)


def test_redis_by_all_its_names() -> None:
    for url in ("redis://localhost/0", "rediss://localhost/0", "sentinel://localhost:26379"):
        assert is_redis(Celery("elsewhere", broker=url)), url
    assert not is_redis(Celery("elsewhere", broker="amqp://localhost//"))


def test_an_age_that_is_not_known_is_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "beat_age", lambda app: None)
    app = Celery("elsewhere", broker="memory://", set_as_current=False)
    with app.connection_for_write() as connection, connection.SimpleQueue("maintenance") as queue:
        queue.clear()
        queue.put("a message")

        found = list(samples.of_broker(Subject(app, load())))
        queue.clear()

    waiting = {labels: value for metric, labels, value in found if metric is metrics.QUEUE_WAITING}
    oldest = {labels: value for metric, labels, value in found if metric is metrics.QUEUE_OLDEST}
    assert 1 == waiting["maintenance",]
    assert ("maintenance",) not in oldest
    assert 0.0 == oldest["intake_queue",]
