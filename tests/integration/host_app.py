"""An application of its own that uses the product: its task is told of documents' ends, on its own queue."""

from __future__ import annotations

import os

from celery import Celery, shared_task

app = Celery("host", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.task_default_queue = "host_queue"


@app.task(name="host.told", shared=False)
def told(final: dict[str, object], *more: object) -> list[object]:
    return [final["document_id"], final["final_status"], *more]


@app.task(name="host.then", shared=False)
def then(before: list[object]) -> list[object]:
    return [*before, "then"]


@app.task(name="host.count", shared=False)
def count(finals: list[dict[str, object]]) -> list[list[object]]:
    return sorted([final["document_id"], final["processed_chunks"]] for final in finals)


@shared_task(name="host.shared")
def shared(word: str) -> str:
    return word.upper()
