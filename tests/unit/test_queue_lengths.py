"""How many messages wait, on a broker that is not Redis: kombu's own in memory stands for RabbitMQ's protocol here."""

from __future__ import annotations

from celery import Celery

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
