"""The RQ worker: JSON, a scheduler for retries, a sweep, and a killed worker's jobs back in under two minutes.

``smart-rag-tasks rq worker`` starts it; ``rq worker -c smart_rag_tasks.rq_compat.rq_config -w
smart_rag_tasks.rq_compat.worker.RagWorker -s`` is the same with RQ's own program.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.exceptions import DequeueTimeout
from rq.job import Job
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer
from rq.utils import import_attribute
from rq.worker_pool import WorkerPool

from ..celery import app
from ..errors import BrokerUnreachable
from ..names import QUEUES, SWEEP
from ..settings import get_settings
from ..stages.environment import plugged_in
from ..store import Store
from .queues import LEGACY_FUNCTIONS, connect, send

logger = logging.getLogger(__name__)

#: Seconds. A job of a worker that died is given up JOB_MONITORING + 60 s after its last sign of life, and looked for
#: every MAINTENANCE s by any other worker (RQ's defaults: 30 + 60, 600). A worker that waits for jobs wakes every
#: WORKER_TTL - 15 s to look.
WORKER_TTL: Final = 30
MAINTENANCE: Final = 14
JOB_MONITORING: Final = 10

#: While this key is there, our workers take no new jobs: `migrate` sets it, and it expires by itself.
PAUSE_KEY: Final = "smart_rag_tasks:rq:paused"
#: One of many workers sends a sweep.
SWEEP_SENT_KEY: Final = "smart_rag_tasks:rq:sweep-sent"

#: Seconds between two looks at empty queues, at the most.
_POLL: Final = 0.1

_PR_SET_PDEATHSIG: Final = 1

#: Takes a job and writes down that it was taken, in one step.
_TAKE: Final = """
for _, key in ipairs(KEYS) do
  local id = redis.call('LMOVE', key, key .. ':intermediate', 'LEFT', 'RIGHT')
  if id then return {key, id} end
end
return nil
"""


class RagQueue(Queue):
    """A queue from which no job is lost when a worker dies while it takes it.

    RQ takes from several queues with BLPOP: the job is then nowhere until the worker has registered it. This looks
    at the queues in their order and moves the job to RQ's own intermediate list, which maintenance empties.
    """

    @classmethod
    def dequeue_any(
        cls, queues: Any, timeout: int | None, connection: Redis, *classes: Any, **options: Any
    ) -> tuple[Job, Queue] | None:
        """The next job and its queue; None at once if ``timeout`` is None, DequeueTimeout after that many seconds."""
        keys = [queue.key for queue in queues]
        deadline, pause = time.monotonic() + (timeout or 0), _POLL / 32
        while True:
            taken: Any = connection.eval(_TAKE, len(keys), *keys)
            if taken is None:
                if timeout is None:
                    return None
                if time.monotonic() > deadline:
                    raise DequeueTimeout(timeout, keys)
                time.sleep(pause)
                pause = min(pause * 2, _POLL)
                continue
            key, job_id = (part.decode() for part in taken)
            found = cls._fetch_dequeued_job(connection, key, job_id, *classes, **options)
            if found is not None:
                return found
            connection.lrem(f"{key}:intermediate", 1, job_id)  # its hash has expired


class RagJob(Job):
    """A job whose function may be named as the older installation named it."""

    @property
    def func(self) -> Callable[..., Any]:
        """The function to call."""
        name = LEGACY_FUNCTIONS.get(self.func_name or "")
        return import_attribute(name) if name else super().func


class RagScheduler(RQScheduler):
    """RQ's scheduler process, which else would outlive a worker that is killed."""

    def work(self) -> None:
        """Move what is due to its queue, until told to stop."""
        die_with_parent(signal.SIGTERM)
        super().work()  # type: ignore[no-untyped-call]


class RagWorker(Worker):
    """RQ's worker with our defaults, whoever starts it."""

    def __init__(self, queues: Any, *args: Any, **options: Any) -> None:
        names = [item.name if isinstance(item, Queue) else item for item in _listed(queues)]
        ours = {
            "serializer": JSONSerializer,
            "job_class": RagJob,
            "queue_class": RagQueue,
            "maintenance_interval": MAINTENANCE,
            "worker_ttl": WORKER_TTL,
            "job_monitoring_interval": JOB_MONITORING,
            "log_job_description": False,
        }
        super().__init__(names, *args, **(options | ours))

    def work(self, *args: Any, **options: Any) -> bool:
        """Take jobs until told to stop; always with a scheduler, else no retry would ever run."""
        settings = get_settings()
        preload()
        stopped = threading.Event()
        timer = threading.Thread(target=_send_sweeps, args=(stopped, settings.sweep_seconds), daemon=True)
        timer.start()
        try:
            return bool(super().work(*args, **(options | {"with_scheduler": True})))
        finally:
            stopped.set()

    def _start_scheduler(self, burst: bool = False, *formats: Any) -> None:
        level, date_format, log_format = (*formats, None, None, None)[:3]
        named = {"date_format": date_format, "log_format": log_format}
        self.scheduler = RagScheduler(
            self.queues,
            connection=self.connection,
            logging_level=level or self.log.level,
            serializer=self.serializer,
            **{name: value for name, value in named.items() if value},
        )
        self.scheduler.acquire_locks()  # type: ignore[no-untyped-call]
        if self.scheduler.acquired_locks and not burst:
            self.scheduler.start()  # type: ignore[no-untyped-call]

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = True) -> None:
        """Note that the job runs; from now on it is in the registry of started jobs, not in the intermediate list."""
        super().prepare_job_execution(job, remove_from_intermediate_queue=True)

    def check_for_suspension(self, burst: bool) -> None:
        """Wait while RQ is suspended, we alone are paused for a move, or Redis is away (RQ's own worker would end)."""
        while not self._stop_requested:
            try:
                super().check_for_suspension(burst)
                if not self.connection.exists(PAUSE_KEY):
                    return
                self.heartbeat()
            except RedisError as error:
                logger.warning("Redis does not answer (%s); trying again", type(error).__name__)
            time.sleep(0.5)


def preload() -> None:
    """Import and make here, once, what every work horse needs: else each job takes a quarter of a second longer.

    Nothing is connected: a connection does not survive the fork.
    """
    settings = get_settings()
    import_module("smart_rag_tasks.rq_compat.jobs")
    app.backend  # noqa: B018 - made here, connected in the work horse
    Store(settings.store_url).close()  # the same for the database's driver
    made = plugged_in(settings)
    getattr(made, "warm_up", lambda: None)()


def _listed(queues: Any) -> list[Any]:
    return list(queues) if isinstance(queues, (list, tuple, set)) else [queues]


def _send_sweeps(stopped: threading.Event, seconds: float) -> None:
    """Send a sweep every few seconds, on a connection of its own: the worker's main thread forks meanwhile."""
    connection = connect()
    while not stopped.wait(seconds):
        with suppress(RedisError):  # the next tick tries again
            send_sweep(connection, seconds)


def send_sweep(connection: Redis, seconds: float) -> bool:
    """Send a sweep, at the front of its queue, unless another worker just did or the last one still waits."""
    if not connection.set(SWEEP_SENT_KEY, "1", nx=True, px=int(seconds * 900)):
        return False
    if connection.llen("rq:queue:maintenance"):
        return False
    send(connection, SWEEP, [], description="", at_front=True, job_id="sweep", retry=None, result_ttl=60, ttl=60)
    return True


def die_with_parent(number: int) -> None:
    """Ask the kernel for a signal when our parent dies (Linux; elsewhere nothing happens)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))


class _PooledWorker(RagWorker):
    """A worker of a pool: it ends, after its job, when the pool is killed."""

    def work(self, *args: Any, **options: Any) -> bool:
        die_with_parent(signal.SIGTERM)
        return super().work(*args, **options)


def run_workers(count: int, queues: Sequence[str] = QUEUES, *, burst: bool = False, level: str = "INFO") -> None:
    """Run ``count`` workers until SIGTERM or Ctrl-C; each ends after its job. A worker that dies is started again.

    Raises BrokerUnreachable when Redis does not answer at the start.
    """
    connection = connect()
    try:
        connection.ping()
    except RedisError as error:
        raise BrokerUnreachable(
            f"RQ's Redis does not answer ({type(error).__name__}): check SMART_RAG_RQ_URL, or REDIS_URL"
        ) from None
    pool = WorkerPool(list(queues), connection, count, worker_class=_PooledWorker, serializer=JSONSerializer)
    pool.start(burst=burst, logging_level=level)


def set_pause(connection: Redis, seconds: int) -> None:
    """Let our workers take nothing for that long; 0: go on. Plain RQ workers do not hear it."""
    if seconds:
        connection.set(PAUSE_KEY, str(os.getpid()), ex=seconds)
    else:
        connection.delete(PAUSE_KEY)
