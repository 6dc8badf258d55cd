"""A Celery application with encrypted payloads; TEST_KEYS are its keys, none for one without encryption."""

from __future__ import annotations

import os

from celery import Celery, chord

from smart_rag_tasks import encryption, transport

transport.install()
app = Celery("encrypted", broker=os.environ["TEST_REDIS"], backend=os.environ["TEST_REDIS"])
app.conf.update(
    task_default_queue="default",
    task_acks_late=True,
    worker_consumer="smart_rag_tasks.consumer:GuardedConsumer",
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
    task_send_sent_event=True,
    broker_connection_retry_on_startup=True,
)
encryption.configure(app.conf, [key for key in os.environ.get("TEST_KEYS", "").split(",") if key])


@app.task(name="shout")
def shout(text: str) -> str:
    return text.upper()


@app.task(name="join")
def join(parts: list[str]) -> str:
    return " ".join(parts)


@app.task(name="fail")
def fail(text: str) -> str:
    raise ValueError(text)


def shout_together(words: list[str]):
    return chord(shout.s(word) for word in words)(join.s())
