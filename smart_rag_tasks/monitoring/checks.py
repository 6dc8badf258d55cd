"""The single checks of the system's health. Each gives a phrase that says how things are, or raises an error of ours
whose message says what to do. None of them changes anything.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import select

from ..errors import BrokerUnreachable, InvalidSettings, SmartRagError, StoreUnavailable
from ..models import Json
from ..names import QUEUES
from ..settings import Settings, client_url
from ..sinks import find_sink
from ..store import Store, file_of, missing_file, observed
from ..store.migrate import HEAD, revision
from . import workers
from .broker import QUICK, open_broker

#: Seconds without a tick after which beat counts as silent: RedBeat ticks at least every 10 s.
BEAT_SILENT: Final = 60.0
#: Seconds that an outbox entry may be late.
OUTBOX_LATE: Final = 300.0
#: Free disk space, bytes and fraction; less is a failure.
DISK_BYTES: Final = 200 * 1024 * 1024
DISK_FRACTION: Final = 0.05
#: Fraction of the memory that Redis may use.
REDIS_MEMORY: Final = 0.8


class Unhealthy(SmartRagError):
    """A check failed."""


@dataclass
class Subject:
    """What is looked at; connections are made when they are needed."""

    app: Celery
    settings: Settings
    #: Seconds that workers have to answer.
    timeout: float = workers.TIMEOUT

    @cached_property
    def store(self) -> Store:
        """The store as it is: nothing is created or upgraded by looking."""
        if file := missing_file(self.settings.store_url):
            raise StoreUnavailable(
                f"there is no store at {file}: check the name; `smart-rag-tasks up`, `run` and `submit` make one"
            )
        return Store(self.settings.store_url)

    def close(self) -> None:
        """Give back the connections to the store, if there are any."""
        if "store" in self.__dict__:
            self.store.close()

    @cached_property
    def replies(self) -> dict[str, workers.Replies]:
        """What workers say to `ping` and `active_queues`; asked once."""
        return workers.ask(self.app, ("ping", "active_queues"), self.timeout)


def broker(subject: Subject) -> str:
    """The broker answers."""
    with open_broker(subject.app) as found:
        begin = time.perf_counter()
        if found.client is not None:
            found.client.ping()
        return f"answers in {1000 * (time.perf_counter() - begin):.1f} ms"


def result_backend(subject: Subject) -> str:
    """The result backend answers."""
    url = subject.settings.result_backend
    if not url.startswith(("redis", "unix")):
        subject.app.backend.get_task_meta("smart-rag-tasks-health")
        return "answers"
    options: Any = {
        "socket_connect_timeout": QUICK["socket_connect_timeout"],
        "socket_timeout": QUICK["socket_timeout"],
    }
    try:
        redis.Redis.from_url(client_url(url), **options).ping()
    except redis.RedisError as error:
        raise BrokerUnreachable(
            f"the result backend does not answer ({type(error).__name__}): check CELERY_RESULT_BACKEND or REDIS_URL"
        ) from None
    return "answers"


def store(subject: Subject) -> str:
    """The store answers."""
    begin = time.perf_counter()
    with subject.store.read() as connection:
        connection.execute(select(1))
    return f"{subject.store.engine.dialect.name} answers in {1000 * (time.perf_counter() - begin):.1f} ms"


def schema(subject: Subject) -> str:
    """The store's schema is this program's."""
    with subject.store.read() as connection:
        found = revision(connection)
    if found != HEAD:
        raise InvalidSettings(f"the store's schema is {found or 'not there'}, this program's is {HEAD}")
    return f"is {found}"


def worker(subject: Subject) -> str:
    """At least one worker answers."""
    found = sorted(subject.replies["ping"])
    if not found:
        raise Unhealthy("no worker answers: start one with `celery -A smart_rag_tasks worker`")
    return f"{len(found)} answer: {', '.join(found[:3])}{', …' if len(found) > 3 else ''}"


def queues(subject: Subject) -> str:
    """Every queue has a worker that serves it."""
    served = workers.consumers(subject.replies["active_queues"])
    missing = [name for name in QUEUES if name not in served]
    if missing:
        raise Unhealthy(f"nobody serves {', '.join(missing)}: start a worker with -Q {','.join(missing)}")
    return f"all {len(QUEUES)} have a consumer"


def beat(subject: Subject) -> str:
    """Beat ticked lately."""
    age = beat_age(subject.app)
    if age is None:
        raise Unhealthy("has never ticked, or not for days: start `celery -A smart_rag_tasks beat`")
    if age > BEAT_SILENT:
        raise Unhealthy(f"silent for {age:.0f} s: restart `celery -A smart_rag_tasks beat`")
    return f"last tick {age:.0f} s ago"


def beat_age(app: Celery) -> float | None:
    """Seconds since beat's last tick, None if none is known; raises BrokerUnreachable."""
    from redbeat.schedulers import get_redis

    from ..schedules import beat_tick, use_sentinel

    try:
        use_sentinel(app)
        connection: redis.Redis = get_redis(app)
        connection.connection_pool.connection_kwargs.update(QUICK, retry=Retry(NoBackoff(), 0))
        tick = beat_tick(app)
    except (redis.RedisError, OSError) as error:
        raise BrokerUnreachable(f"RedBeat's Redis does not answer ({type(error).__name__}): check REDIS_URL") from None
    return max(0.0, time.time() - float(tick["at"])) if tick else None


def sinks(subject: Subject) -> str:
    """What has to leave the store (vector store, callbacks, results) leaves it in time."""
    if subject.settings.sink:
        find_sink(subject.settings.sink)
    now = time.time()
    with subject.store.read() as connection:
        rows = observed.outbox_lag(connection)
        reason = observed.last_outbox_error(connection, tuple(row.kind for row in rows)) if rows else ""
    late = [row for row in rows if now - row.oldest > OUTBOX_LATE]
    if late:
        words = ", ".join(f"{row.entries} {row.kind} for up to {now - row.oldest:.0f} s" for row in late)
        raise Unhealthy(f"waiting: {words}" + (f" ({reason[:120]})" if reason else ""))
    count = sum(row.entries for row in rows)
    return f"{count} on their way" if count else "nothing waits"


def disk(subject: Subject) -> str:
    """There is room on the disk of the state folder, and of a SQLite store."""
    folders = [subject.settings.home]
    if file := file_of(subject.settings.store_url):
        folders.append(file.parent)
    free, fraction = min(_free(folder) for folder in folders)
    if free < DISK_BYTES or fraction < DISK_FRACTION:
        raise Unhealthy(f"only {free / 1e6:,.0f} MB ({fraction:.0%}) free: make room")
    return f"{free / 1e9:,.1f} GB ({fraction:.0%}) free"


def _free(folder: Path) -> tuple[int, float]:
    there = next(each for each in (folder.resolve(), *folder.resolve().parents) if each.is_dir())
    usage = shutil.disk_usage(there)
    return usage.free, usage.free / usage.total


def redis_memory(subject: Subject) -> str:
    """Redis has memory left, evicts nothing, and can write its file."""
    with open_broker(subject.app) as found:
        if found.client is None:
            return "not Redis"
        try:
            info: Json = found.client.info()
        except redis.exceptions.NoPermissionError:
            return "not permitted to ask"
    used, limit = redis_usage(info)
    if int(info.get("maxmemory", 0)) and info.get("maxmemory_policy") != "noeviction":
        raise Unhealthy(f"may throw messages away: set maxmemory-policy noeviction, not {info['maxmemory_policy']}")
    if "err" in (info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")):
        raise Unhealthy("cannot write to its disk: make room, then look into Redis' log")
    if limit and used > REDIS_MEMORY * limit:
        raise Unhealthy(f"{used / 1e6:,.0f} of {limit / 1e6:,.0f} MB used: raise maxmemory, or find what fills it")
    return f"{used / 1e6:,.1f} of {limit / 1e6:,.0f} MB used" if limit else f"{used / 1e6:,.1f} MB used"


def redis_usage(info: Json) -> tuple[int, int]:
    """Bytes used, and the limit: ``maxmemory``, else the machine's memory, 0 if unknown."""
    return int(info["used_memory"]), int(info.get("maxmemory", 0)) or int(info.get("total_system_memory", 0))


#: In the order in which they are told.
CHECKS: Final[dict[str, Callable[[Subject], str]]] = {
    "broker": broker,
    "result backend": result_backend,
    "store": store,
    "schema": schema,
    "workers": worker,
    "queues": queues,
    "beat": beat,
    "sinks": sinks,
    "disk": disk,
    "redis memory": redis_memory,
}

#: What must work for a document that is submitted now to be finished.
READINESS: Final = ("broker", "result backend", "store", "schema", "workers", "queues")
