"""Chunks that come one at a time, on their way to RQ: stored first, so that no text travels through it."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from rq.job import Job

from ..names import GENERATE_METADATA_FOR_CHUNK
from ..stages.environment import Environment
from ..stages.validation import valid_chunks, valid_document_id
from ..store import singles
from . import engine
from .jobs import CELERY_TASK_ID
from .queues import job_id_of, send


def store_chunk(env: Environment, chunk_id: object, text: object, document_id: object) -> None:
    """Write the chunk's text into the store; InvalidInput for what cannot be taken."""
    name = valid_document_id(document_id)
    item = [{"chunk_id": chunk_id, "text": text}]
    chunk = valid_chunks(item, max_chars=env.settings.max_chunk_chars, max_chunks=1)[0]
    with env.store.write() as connection:
        singles.store_chunk(env.store, connection, name, chunk, env.settings.generator, time.time())


def send_chunk(env: Environment, chunk_id: str, text: str | None, document_id: str, *, celery_task_id: str = "") -> Job:
    """The RQ job of one chunk; ``celery_task_id``: who moved from there may still wait for it there."""
    if text is not None:
        store_chunk(env, chunk_id, text, document_id)
    more: dict[str, Any] = {"job_id": job_id_of(celery_task_id) if celery_task_id else str(uuid4())}
    if celery_task_id:
        more["meta"] = {CELERY_TASK_ID: celery_task_id}
    args = [chunk_id, None, document_id]
    return send(engine.connection(), GENERATE_METADATA_FOR_CHUNK, args, description=document_id[:60], **more)
