"""What the compared workers run: the requirements document's task, completed as far as it must be to do the work.

The document's own body is ``pass``; here it generates (a known time of CPU) and writes one row to SQLite. Everything
around that (`asyncio.run`, one message a chunk, progress updates, options) is as the document has it.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from celery import Celery

sys.path.insert(0, str(Path(__file__).parent))

from busy_generator import BusyGenerator

from smart_rag_tasks.models import Chunk, DocumentContext

#: A chunk whose text begins so takes as long as is said after it: for measuring recovery.
SLOW = "slow "


class CompareGenerator(BusyGenerator):
    """The busy generator, slow where it is told to be."""

    def _one(self, chunk: Chunk) -> Any:
        if chunk.text.startswith(SLOW):
            time.sleep(float(chunk.text.split()[1]))
        return super()._one(chunk)


@lru_cache
def _generator() -> CompareGenerator:
    return CompareGenerator()


@lru_cache
def _database(_pid: int) -> sqlite3.Connection:
    connection = sqlite3.connect(os.environ["COMPARE_DB"], timeout=30, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE IF NOT EXISTS results (document TEXT, chunk TEXT, meta TEXT, PRIMARY KEY (document, chunk))")  # fmt: skip  # noqa: E501
    return connection


async def _generate(chunk_id: str, chunk_text: str, document_id: str) -> dict[str, Any]:
    metadata = _generator().generate([Chunk(chunk_id, chunk_text)], DocumentContext(document_id))[0]
    _database(os.getpid()).execute(
        "INSERT OR REPLACE INTO results VALUES (?, ?, ?)", (document_id, chunk_id, metadata.summary)
    )
    return {"summary": metadata.summary, "keywords": list(metadata.keywords)}


# -- RQ, lines 20-52 and 1068 of the document


def generate_metadata_for_chunk(chunk_id: str, chunk_text: str, document_id: str) -> dict[str, Any]:
    """The RQ task: asynchronous work wrapped in `asyncio.run`."""
    return asyncio.run(_generate(chunk_id, chunk_text, document_id))


# -- Celery, lines 192-250

app = Celery("smart_rag", broker=os.environ.get("REDIS_URL"), backend=os.environ.get("REDIS_URL"))
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    result_serializer="json",
    timezone="UTC",
    enable_utc=True,
    task_track_started=True,
    task_time_limit=30 * 60,
    task_soft_time_limit=25 * 60,
    worker_prefetch_multiplier=1,
    task_acks_late=True,
    worker_max_tasks_per_child=1000,
)


@app.task(bind=True, name="generate_metadata_for_chunk")
def generate_metadata_for_chunk_celery(self: Any, chunk_id: str, chunk_text: str, document_id: str) -> dict[str, Any]:
    """The Celery task."""
    self.update_state(state="PROGRESS", meta={"chunk_id": chunk_id, "progress": 0})
    result = asyncio.run(_generate(chunk_id, chunk_text, document_id))
    return {"chunk_id": chunk_id, "document_id": document_id, "status": "completed", "result": result}
