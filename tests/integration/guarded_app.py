"""A Celery application of three tasks, for the tests of the guard: the product's own would hide what it adds.

GUARD=no leaves the guard out, to show what plain Celery does.
"""

from __future__ import annotations

import os

from celery import Celery, Task, chord, group
from celery.exceptions import Ignore

from smart_rag_tasks import transport

app = Celery("guarded", broker=os.environ["TEST_REDIS"], backend=os.environ["TEST_REDIS"])
app.conf.update(
    task_default_queue="default",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": 2,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "max_message_bytes": 1_000_000,
    },
)
if os.environ.get("GUARD") != "no":
    transport.install()
    app.conf.worker_consumer = "smart_rag_tasks.consumer:GuardedConsumer"


@app.task(name="add")
def add(a: int, b: int) -> int:
    return a + b


@app.task(name="meet")
def meet(mine: str, other: str) -> bool:
    """True when ``meet(other, mine)`` runs at the same time: both slots of a worker are free."""
    client = app.backend.client
    client.lpush(f"met:{mine}", 1)
    return client.brpop(f"met:{other}", timeout=10) is not None


class Batching(Task):
    """Sends what a task is replaced by in one go."""

    def on_replace(self, sig):
        with transport.batch_publishing(app):
            sig.apply_async()
        raise Ignore("replaced")


@app.task(name="total")
def total(parts: list[int]) -> int:
    return sum(parts)


@app.task(name="fan_out_batched", bind=True, base=Batching)
def fan_out_batched(self, n: int):
    return self.replace(chord(group(add.si(1, i) for i in range(n)), total.s()))
