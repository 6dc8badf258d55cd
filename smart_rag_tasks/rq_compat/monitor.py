"""What an RQ installation looks like from outside: the counterpart of `CeleryMonitor`. Reading changes nothing.

RQ's own registry objects clean up when they are counted; here the keys are read as they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from ..errors import BrokerUnreachable
from ..models import Json
from ..names import METADATA_QUEUE
from .queues import connect

#: Where RQ keeps the jobs of a queue that are in no queue any more, or not yet.
REGISTRIES: Final[dict[str, str]] = {
    "started": "rq:wip:{}",
    "scheduled": "rq:scheduled:{}",
    "deferred": "rq:deferred:{}",
    "failed": "rq:failed:{}",
    "finished": "rq:finished:{}",
    "canceled": "rq:canceled:{}",
}


@dataclass(frozen=True, slots=True)
class QueueStats:
    """The numbers of one queue."""

    name: str
    queued: int
    started: int
    scheduled: int
    #: Scheduled, due, and not moved to the queue: retries that wait for a scheduler that is not there.
    overdue: int
    deferred: int
    failed: int
    finished: int
    canceled: int
    #: Taken by a worker that has not begun, or died before.
    intermediate: int
    #: Workers that listen on it and were heard of lately.
    workers: int


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker as it registered itself."""

    name: str
    queues: tuple[str, ...]
    #: ``idle``, ``busy``, ``started``, ``suspended``.
    state: str
    pid: int
    hostname: str
    #: Seconds since it was last heard of.
    silent_for: float
    succeeded: int
    failed: int
    #: Seconds of work in all.
    working_seconds: float
    version: str


class RQMonitor:
    """Looks at RQ's Redis. Every method raises BrokerUnreachable when it does not answer."""

    def __init__(self, connection: Redis | None = None) -> None:
        self.connection = connection or connect()

    def queue_names(self) -> list[str]:
        """Every queue that RQ has heard of."""
        with _translated():
            return sorted(text(key).removeprefix("rq:queue:") for key in self.connection.smembers("rq:queues"))

    def workers(self) -> list[WorkerInfo]:
        """Workers that have registered and not gone; the key of one that was killed expires after a while."""
        with _translated():
            return sorted(self._workers(), key=lambda worker: worker.name)

    def _workers(self) -> Iterator[WorkerInfo]:
        for key in self.connection.smembers("rq:workers"):
            fields = {text(name): text(value) for name, value in self.connection.hgetall(text(key)).items()}
            if fields and "death" not in fields:
                yield _worker(text(key).removeprefix("rq:worker:"), fields)

    def queue(self, name: str = METADATA_QUEUE) -> QueueStats:
        """The numbers of one queue; all 0 for one that there is not."""
        with _translated(), self.connection.pipeline(transaction=False) as pipe:
            pipe.llen(f"rq:queue:{name}")
            pipe.llen(f"rq:queue:{name}:intermediate")
            pipe.zcount(REGISTRIES["scheduled"].format(name), "-inf", time.time() - 5)
            for template in REGISTRIES.values():
                pipe.zcard(template.format(name))
            queued, intermediate, overdue, *counts = pipe.execute()
        listening = sum(1 for worker in self.workers() if name in worker.queues)
        numbers = dict(zip(REGISTRIES, counts, strict=True))
        return QueueStats(
            name=name, queued=queued, intermediate=intermediate, overdue=overdue, workers=listening, **numbers
        )

    def has_scheduler(self, name: str) -> bool:
        """Whether a worker with a scheduler looks after the queue's retries."""
        with _translated():
            return bool(self.connection.exists(f"rq:scheduler-lock:{name}"))

    def get_queue_stats(self, name: str = METADATA_QUEUE) -> Json:
        """The requirements document's view of a queue, and more: lengths, failures, workers."""
        stats = self.queue(name)
        return {
            "queue_length": stats.queued,
            "failed_jobs": stats.failed,
            "worker_count": stats.workers,
            **asdict(stats),
        }

    def get_worker_stats(self) -> list[Json]:
        """The workers as dicts."""
        return [asdict(worker) for worker in self.workers()]

    def health_check(self) -> Json:
        """``healthy`` when Redis answers and a worker listens; else ``unhealthy`` with the reason."""
        try:
            workers = self.workers()
        except BrokerUnreachable as error:
            return {"status": "unhealthy", "reason": str(error)}
        if not workers:
            return {"status": "unhealthy", "reason": "no RQ worker runs; start `smart-rag-tasks rq worker`"}
        return {"status": "healthy", "workers": len(workers)}


def _worker(name: str, fields: dict[str, str]) -> WorkerInfo:
    heard = fields.get("last_heartbeat")
    return WorkerInfo(
        name=name,
        queues=tuple(fields.get("queues", "").split(",")),
        state=fields.get("state", "?"),
        pid=int(fields.get("pid") or 0),
        hostname=fields.get("hostname", ""),
        silent_for=round(time.time() - parse_time(heard), 1) if heard else float("inf"),
        succeeded=int(fields.get("successful_job_count") or 0),
        failed=int(fields.get("failed_job_count") or 0),
        working_seconds=round(float(fields.get("total_working_time") or 0), 3),
        version=fields.get("version", ""),
    )


def parse_time(text: str) -> float:
    """RQ's ``2026-01-31T12:00:00.000000Z`` as epoch seconds."""
    return datetime.fromisoformat(text).timestamp()


def text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class _translated:
    """Redis's errors in our own words."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, RedisError):
            raise BrokerUnreachable(
                f"RQ's Redis does not answer ({type(error).__name__}): check SMART_RAG_RQ_URL, or REDIS_URL"
            ) from None
