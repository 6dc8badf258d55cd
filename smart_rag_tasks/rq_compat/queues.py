"""RQ's connection, queues and job options: JSON on a bytes connection, names as on Celery's side.

RQ's keys are ``rq:queue:NAME``, so the two sides do not meet, even in one Redis database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError, TimeoutError
from redis.retry import Retry as ConnectionRetry
from rq import Queue, Retry
from rq.job import Job
from rq.serializers import JSONSerializer

from ..names import (
    BATCH_METADATA_GENERATION,
    DELIVER_OUTBOX,
    GENERATE_BATCH,
    GENERATE_METADATA_FOR_CHUNK,
    INGEST_FILE,
    PROCESS_DOCUMENT_PIPELINE,
    SWEEP,
    queue_of,
)
from ..settings import client_url, get_settings

#: Seconds a job may run before it is stopped: the requirements document's ten minutes.
JOB_TIMEOUT: Final = 600
#: Seconds that results, and failures, are kept.
RESULT_TTL: Final = 86_400
FAILURE_TTL: Final = 604_800
#: The same for a batch's job, which says nothing that the store does not.
BATCH_RESULT_TTL: Final = 600
#: Seconds before the first, second and third try after an error; they need a worker with a scheduler.
RETRY_AFTER: Final = (5, 30, 120)

_JOBS = "smart_rag_tasks.rq_compat.jobs."

#: The function, as RQ imports it, of each task that has one here.
FUNCTIONS: Final[dict[str, str]] = {
    PROCESS_DOCUMENT_PIPELINE: _JOBS + "process_document_pipeline",
    GENERATE_BATCH: _JOBS + "generate_batches",
    GENERATE_METADATA_FOR_CHUNK: _JOBS + "generate_metadata_for_chunk",
    BATCH_METADATA_GENERATION: _JOBS + "batch_metadata_generation",
    INGEST_FILE: _JOBS + "ingest_file",
    DELIVER_OUTBOX: _JOBS + "deliver_outbox",
    SWEEP: _JOBS + "sweep",
}

#: Functions of an older RQ installation that are answered by one of ours: the requirements document's path.
LEGACY_FUNCTIONS: Final[dict[str, str]] = {
    "app.metadata.tasks.generate_metadata_for_chunk": FUNCTIONS[GENERATE_METADATA_FOR_CHUNK],
    "generate_metadata_for_chunk": FUNCTIONS[GENERATE_METADATA_FOR_CHUNK],
}

_JOB_ID = re.compile(r"[A-Za-z0-9_-]+")


def connect(url: str | None = None) -> Redis:
    """A connection to RQ's Redis that gives bytes: RQ's data is compressed, decoding it kills readers and workers."""
    return Redis.from_url(
        client_url(url or get_settings().rq_url),
        decode_responses=False,
        socket_timeout=10,
        socket_connect_timeout=5,
        health_check_interval=10,
        retry=ConnectionRetry(ExponentialBackoff(cap=1.0, base=0.05), 3),
        retry_on_error=[ConnectionError, TimeoutError],
    )


def queue(name: str, connection: Redis) -> Queue:
    """The queue of that name, with our serializer."""
    return Queue(name, connection=connection, serializer=JSONSerializer, default_timeout=JOB_TIMEOUT)


def job_id_of(name: str) -> str:
    """``name`` as a job's id: RQ allows letters, digits, ``_`` and ``-`` only."""
    return name if _JOB_ID.fullmatch(name) else str(uuid5(NAMESPACE_OID, name))


def options(task: str, description: str, **more: Any) -> dict[str, Any]:
    """A job's options. The description is ours: RQ's own would quote the arguments, chunk text included."""
    return {
        "description": f"{task.removeprefix('smart_rag_tasks.')} {description}",
        "timeout": JOB_TIMEOUT,
        "result_ttl": RESULT_TTL,
        "failure_ttl": FAILURE_TTL,
        "retry": Retry(max=len(RETRY_AFTER), interval=list(RETRY_AFTER)),
        **more,
    }


def send(
    connection: Redis,
    task: str,
    args: Sequence[Any],
    kwargs: dict[str, Any] | None = None,
    *,
    lane: str = "bulk",
    description: str,
    **more: Any,
) -> Job:
    """Enqueue one job of ours."""
    there = queue(queue_of(task, lane), connection)
    at_front = more.pop("at_front", False)
    data = Queue.prepare_data(
        FUNCTIONS[task],
        args=tuple(args),
        kwargs=kwargs or {},
        at_front=at_front,
        **options(task, description, **more),
    )
    return there.enqueue_many([data])[0]


def send_batches(
    connection: Redis, document_id: str, run_id: str, groups: Iterable[Sequence[int]], *, lane: str, time_limit: float
) -> int:
    """Enqueue a run's batches, a group in each job, in one round trip; returns how many jobs.

    ``time_limit``: seconds a batch may take at the most; RQ must not cut a job short that is within its limits.
    """
    jobs = [
        Queue.prepare_data(
            FUNCTIONS[GENERATE_BATCH],
            args=(run_id, list(numbers)),
            job_id=f"{job_id_of(run_id)}-{numbers[0]}",
            **options(
                GENERATE_BATCH,
                f"{document_id[:60]}, batches {numbers[0]}…{numbers[-1]}",
                result_ttl=BATCH_RESULT_TTL,
                timeout=max(JOB_TIMEOUT, round(len(numbers) * time_limit)),
            ),
        )
        for numbers in groups
    ]
    if jobs:
        queue(queue_of(GENERATE_BATCH, lane), connection).enqueue_many(jobs)
    return len(jobs)
