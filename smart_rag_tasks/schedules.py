"""The scheduler of beat: RedBeat, filled from the table ``schedules`` and never without it.

RedBeat alone blocks at start until it has its lock, dies when Redis does or comes back empty, and then has lost its
entries. Here each tick takes or keeps the lock, compares Redis with the table, and survives an outage of either.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from celery.beat import SchedulingError
from kombu.exceptions import OperationalError
from redbeat.schedulers import RedBeatScheduler, RedBeatSchedulerEntry, ensure_conf, get_redis
from redis.exceptions import LockError, RedisError
from sqlalchemy import Row

from . import names
from .celery import app as celery_app
from .errors import BrokerUnreachable, SmartRagError
from .guarantees import broken_beat, broken_settings
from .models import Json
from .periods import as_schedule
from .reliability import owners
from .stages import timetable
from .stages.environment import environment
from .starting import refuse

logger = logging.getLogger(__name__)

#: Seconds until a tick is tried again when Redis does not answer.
RETRY: Final = 2.0

#: Seconds: entries that come more often are not noted in the store when they are sent.
NOTED_FROM: Final = 60.0

#: Seconds after which a message of an entry without a period is not worth doing any more.
CRON_EXPIRES: Final = 86_400.0

#: Seconds that beat's last tick can be read in Redis.
TICK_KEPT: Final = 7 * 86_400


class Scheduler(RedBeatScheduler):  # type: ignore[misc]  # RedBeat has no types
    """RedBeat that follows the table and outlives Redis."""

    lock: Any = None
    lock_key: str | None = None

    def __init__(self, app: Any, **kwargs: Any) -> None:
        refuse("beat", [*broken_settings(app.conf), *broken_beat(app.conf, type(self))])
        use_sentinel(app)
        super().__init__(app, **kwargs)
        # RedBeat's own handler would wait for the lock before the first tick, and gives up when Redis is away.
        self._lock_name, self.lock_key = self.lock_key, None
        self._waiting = False
        self._known: set[str] = set()

    def setup_schedule(self) -> None:
        """Nothing yet: the first tick that holds the lock fills Redis."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; seconds until the next look."""
        try:
            if not self._leads():
                return float(self.max_interval)
            self._follow_table()
            wait: float = super().tick(*args, **kwargs)
            self._tell()
        except RedisError as error:
            logger.warning("beat: Redis does not answer (%s); trying again", type(error).__name__)
            return min(RETRY, float(self.max_interval))
        return wait

    def close(self) -> None:
        """Give the lock back, if Redis answers: another beat can take over at once."""
        try:
            super().close()
        except RedisError as error:
            logger.warning("beat: the lock could not be given back (%s); it ends by itself", type(error).__name__)

    @property
    def info(self) -> str:
        """What the banner says."""
        redis_line: str = super().info
        return f"{redis_line}\n       . lock -> `{self._lock_name}` ({self.lock_timeout:g}s)"

    # -- one beat at a time

    def _leads(self) -> bool:
        """Keep the lock, or take it if it is free."""
        if self.lock is not None:
            try:
                self.lock.reacquire()
                return True
            except LockError:
                logger.warning("beat: the lock is lost; Redis came back empty, or another beat has it")
                self.lock = None
        lock = get_redis(self.app).lock(self._lock_name, timeout=self.lock_timeout, thread_local=False)
        if lock.acquire(blocking=False):
            logger.info("beat: has the lock")
            self.lock, self._waiting = lock, False
        elif not self._waiting:
            logger.info("beat: another beat has the lock; standing by")
            self._waiting = True
        return self.lock is not None

    def _tell(self) -> None:
        tick = {"at": time.time(), "owner": owners.me()}
        get_redis(self.app).set(names.BEAT_TICK, json.dumps(tick), ex=TICK_KEPT)

    # -- the table is the truth

    def _follow_table(self) -> None:
        """Fill Redis if the table was changed since, or if Redis has lost it."""
        try:
            rows = [row for row in timetable.entries(environment()) if row.enabled and self._is_known(row)]
        except SmartRagError as error:
            logger.warning("beat: %s", error)
            return
        self._known = {row.name for row in rows if row.cron or row.every >= NOTED_FROM}
        digest = _digest(rows)
        conf = self.app.redbeat_conf
        with get_redis(self.app).pipeline() as pipe:
            pipe.get(_filled_key(self.app))
            pipe.zcard(conf.schedule_key)
            filled, count = pipe.execute()
        before = json.loads(filled) if filled else {"digest": "", "names": []}
        if before["digest"] != digest or count < len(rows) + len(conf.schedule):
            self._fill(rows, before["names"])
            filled = {"digest": digest, "names": [row.name for row in rows]}
            get_redis(self.app).set(_filled_key(self.app), json.dumps(filled))

    def _is_known(self, row: Row[Any]) -> bool:
        return row.task in self.app.tasks

    def _fill(self, rows: Sequence[Row[Any]], names_before: Iterable[str]) -> None:
        super().setup_schedule()  # entries of the configuration's own beat_schedule
        for name in set(names_before) - {row.name for row in rows}:
            RedBeatSchedulerEntry(name, app=self.app).delete()
        sent = timetable.last_sent(environment())
        for row in rows:
            entry = entry_of(self.app, row)
            entry.last_run_at = _last_run(self.app, entry, row, sent.get(row.name))
            entry.save()
        logger.info("beat: %d entries taken from the store", len(rows))

    # -- sending

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        """Send an entry's task; one that the broker did not take stays due."""
        try:
            result = super().apply_async(entry, producer=producer, advance=advance, **kwargs)
        except SchedulingError:
            entry.reschedule(entry.last_run_at)
            raise
        if entry.name in self._known:
            try:
                timetable.note_sent(environment(), entry.name, time.time())
            except SmartRagError as error:
                logger.warning("beat: %s", error)
        return result


def entry_of(app: Any, row: Row[Any]) -> RedBeatSchedulerEntry:
    """RedBeat's entry for a row of the table."""
    options = {"queue": names.queue_of(row.task)} if row.task in names.TASK_QUEUES else {}
    return RedBeatSchedulerEntry(
        name=row.name,
        task=row.task,
        schedule=as_schedule(row.every, row.cron),
        kwargs=row.kwargs,
        # without a worker the messages must not pile up
        options={**options, "expires": row.every or CRON_EXPIRES},
        app=app,
    )


def _last_run(app: Any, entry: RedBeatSchedulerEntry, row: Row[Any], noted: float | None) -> datetime | None:
    """What Redis knows, else the store. A cron line that never ran waits for its time; a period begins at once."""
    meta: Json = RedBeatSchedulerEntry.load_meta(entry.key, app=app)
    if meta["last_run_at"] is not None:
        known: datetime = meta["last_run_at"]
        return known
    if row.cron:  # times that passed while it rested are not made up for
        noted = max(noted or 0.0, row.updated_at)
    return None if noted is None else datetime.fromtimestamp(noted, UTC)


def _digest(rows: Sequence[Row[Any]]) -> str:
    shown = [[row.name, row.task, row.kwargs, row.every, row.cron] for row in rows]
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


def _filled_key(app: Any) -> str:
    return f"{app.redbeat_conf.key_prefix}:filled"


# -- what people ask


def use_sentinel(app: Any) -> None:
    """Translate ``sentinel://…`` as kombu has it into what RedBeat calls the same thing."""
    conf = app.conf
    if not str(conf.redbeat_redis_url).startswith("sentinel://"):
        return
    nodes = [urlsplit(node) for node in conf.redbeat_redis_url.split(";")]
    transport = conf.broker_transport_options
    conf.redbeat_redis_options = {
        **conf.redbeat_redis_options,
        "sentinels": [(node.hostname, node.port or 26379) for node in nodes],
        "service_name": transport.get("master_name"),
        "sentinel_kwargs": transport.get("sentinel_kwargs"),
        "password": nodes[0].password,
        "db": int(nodes[0].path.strip("/") or 0),
    }
    conf.redbeat_redis_url = "redis-sentinel://"


def live_times(app: Any, entry_names: Iterable[str]) -> dict[str, tuple[float | None, float | None]]:
    """When each entry was last sent and is due next (epoch seconds), as RedBeat has it; raises redis.RedisError."""
    use_sentinel(app)
    ensure_conf(app)
    found: dict[str, tuple[float | None, float | None]] = {}
    for name in entry_names:
        try:
            entry = RedBeatSchedulerEntry.from_key(RedBeatSchedulerEntry.generate_key(app, name), app=app)
        except KeyError:
            continue
        last, due = entry.last_run_at, entry.due_at
        found[name] = (last.timestamp() if last else None, due.timestamp() if due else None)
    return found


def beat_tick(app: Any) -> Json | None:
    """Beat's last tick as ``{"at": epoch seconds, "owner": …}``, None if none is known; raises redis.RedisError."""
    use_sentinel(app)
    raw = get_redis(app).get(names.BEAT_TICK)
    tick: Json | None = json.loads(raw) if raw else None
    return tick


def send_now(row: Row[Any]) -> str:
    """Send an entry's task out of turn, beat or no beat; the message's id. Raises BrokerUnreachable."""
    options: dict[str, Any] = {"queue": names.queue_of(row.task)} if row.task in names.TASK_QUEUES else {}
    try:
        return str(celery_app.send_task(row.task, kwargs=row.kwargs, **options).id)
    except OperationalError as error:
        raise BrokerUnreachable from error
