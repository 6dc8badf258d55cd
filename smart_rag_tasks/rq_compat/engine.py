"""The engine "rq": what `dispatch` calls to move a run through RQ."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from redis import Redis
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.results import Result
from rq.serializers import JSONSerializer

from .. import pipelines
from ..errors import BrokerUnreachable
from ..models import Lane
from ..names import PROCESS_DOCUMENT_PIPELINE
from ..settings import get_settings
from ..stages import planning
from ..stages.environment import environment
from ..store import facts, runs
from .queues import RESULT_TTL, connect, job_id_of, send, send_batches

#: Seconds of work that a job of several batches aims at.
JOB_SECONDS: Final = 2.0

logger = logging.getLogger(__name__)


@cache
def _connection(url: str) -> Redis:
    return connect(url)


def connection() -> Redis:
    """This process's connection; redis-py opens new sockets after a fork by itself."""
    return _connection(get_settings().rq_url)


def publish(document_id: str, run_id: str, lane: str = Lane.BULK) -> None:
    """Send a run's entry job; its id is the run's id, as far as RQ allows it."""
    send(
        connection(),
        PROCESS_DOCUMENT_PIPELINE,
        [document_id],
        {"run_id": run_id},
        lane=lane,
        description=document_id[:60],
        job_id=job_id_of(run_id),
    )


def publish_batches(document_id: str, run_id: str, numbers: Iterable[int], lane: str = Lane.BULK) -> None:
    """Send batches of a run, some in each job: RQ forks for every job, and a fresh process costs more than a batch."""
    env, listed = environment(), list(numbers)
    with env.store.read() as reading:
        run = runs.get(reading, run_id)
        cost = facts.get(reading, planning.cost_name(run.fingerprint)) if run is not None else None
    seconds = (cost or planning.UNKNOWN_COST) * (run.batch_size if run is not None else 1)
    slots = env.settings.worker_concurrency * env.settings.worker_count
    size = max(1, min(len(listed) // (4 * slots), int(JOB_SECONDS / max(seconds, 0.001))))
    groups = [listed[start : start + size] for start in range(0, len(listed), size)]
    send_batches(connection(), document_id, run_id, groups, lane=lane, time_limit=env.settings.time_limit)


def store_result(run_id: str, result: dict[str, Any]) -> None:
    """Give a run's final result to whoever waits for it: on its RQ job, and on its ``AsyncResult``.

    A document keeps its waiting callers when it is moved, and `delay` gives an ``AsyncResult`` on either side.
    """
    pipelines.store_result(run_id, result)
    try:
        job = Job.fetch(job_id_of(run_id), connection=connection(), serializer=JSONSerializer)
    except NoSuchJobError:
        return  # its result has expired, or it was never RQ's
    except Exception as error:  # whatever Redis says; the outbox tries again
        raise BrokerUnreachable(f"RQ's Redis did not take the result of run {run_id}") from error
    Result.create(job, Result.Type.SUCCESSFUL, ttl=RESULT_TTL, return_value=result)
