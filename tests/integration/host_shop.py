"""An application of its own on the same Redis, whose workers submit documents: they know tasks of ours, and do none."""

from __future__ import annotations

import os

from celery import Celery

from smart_rag_tasks import process_document_pipeline

app = Celery("shop", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.task_default_queue = "shop"


@app.task(name="shop.sell")
def sell(document_id: str, text: str) -> str:
    return str(process_document_pipeline.delay(document_id, [{"chunk_id": "c", "text": text}]).id)
