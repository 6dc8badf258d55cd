"""Settings under which a document could be lost, stuck or paid twice: found before a worker or beat starts.

Looks at the effective Celery configuration, wherever it came from (ours, CELERY_CONFIG_MODULE, the environment, the
command line), and imports nothing of Celery. Who refuses to start is ``starting``; ``doctor`` shows the same list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

#: Brokers that deliver again what a dead worker had, and where malformed messages can be put aside.
BROKERS: Final = frozenset({"redis", "rediss", "sentinel", "amqp", "amqps", "pyamqp"})

#: Those of them that deliver again after a visibility timeout.
TIMED_BROKERS: Final = frozenset({"redis", "rediss", "sentinel"})

#: Seconds: kombu's own, when broker_transport_options say nothing.
DEFAULT_VISIBILITY: Final = 3600.0

#: Content types by which a message can run code in its reader.
UNSAFE: Final = frozenset({"pickle", "yaml", "application/x-python-serialize", "application/x-yaml"})

#: Result backends that cannot run a chord, or forget what they were told.
USELESS_BACKENDS: Final = frozenset({"", "disabled", "rpc", "cache+memory", "file"})

#: How many hard limits a chord's counter must outlive: a long document's batches wait in a queue too.
CHORD_LIMITS: Final = 10

#: Seconds after which another beat must have taken over from one that died.
TAKEOVER: Final = 60.0

CONSUMER: Final = "smart_rag_tasks.consumer:GuardedConsumer"
SCHEDULER: Final = "smart_rag_tasks.schedules:Scheduler"
PREFORK: Final = "celery.concurrency.prefork:TaskPool"


@dataclass(frozen=True, slots=True)
class Broken:
    """A setting that breaks a guarantee."""

    #: As it is spelt in the Celery configuration.
    setting: str
    #: What it is, what would happen, what to do.
    reason: str

    def __str__(self) -> str:
        return f"{self.setting} {self.reason}"


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What the command line can decide for one worker."""

    #: A class, or the name of one.
    pool: Any = PREFORK
    #: Seconds; None: what the configuration says.
    time_limit: float | None = None
    #: None: what the configuration says.
    prefetch: int | None = None


def broken_settings(
    conf: Any, *, task_limits: Mapping[str, float] | None = None, worker: WorkerFacts | None = None
) -> list[Broken]:
    """What of ``conf`` (an ``app.conf``) breaks a guarantee; ``task_limits``: single tasks' hard limits, in seconds."""
    facts = worker or WorkerFacts(pool=conf.worker_pool)
    limit = facts.time_limit or conf.task_time_limit
    return [
        *_delivery(conf, facts),
        *_content(conf),
        *_limits(conf, limit, dict(task_limits or {})),
        *_results(conf, limit),
        *_places(conf),
        *_processes(facts),
    ]


def broken_beat(conf: Any, scheduler: type[Any] | None = None) -> list[Broken]:
    """What of beat's own settings breaks a guarantee."""
    found: list[Broken] = []
    if not _is(scheduler or conf.beat_scheduler, SCHEDULER):
        found.append(Broken("beat_scheduler", f"is not {SCHEDULER}: schedules and pauses would not hold; remove it"))
    lock = conf.get("redbeat_lock_timeout")
    loop = conf.beat_max_loop_interval
    if not conf.get("redbeat_lock_key", "lock"):
        found.append(Broken("redbeat_lock_key", "is off: two beats would send everything twice; remove it"))
    if not lock or not loop or lock + loop > TAKEOVER:
        found.append(
            Broken(
                "redbeat_lock_timeout",
                f"plus beat_max_loop_interval is {(lock or 1500) + (loop or 300):g} s: when beat dies another one takes"
                f" over that late; keep the sum at most {TAKEOVER:g} s",
            )
        )
    elif loop * 2 > lock:
        reason = f"({loop:g} s) is over half of redbeat_lock_timeout ({lock:g} s): beat would lose its lock; lower it"
        found.append(Broken("beat_max_loop_interval", reason))
    return found


def _delivery(conf: Any, facts: WorkerFacts) -> Iterator[Broken]:
    if not conf.task_acks_late:
        yield Broken("task_acks_late", "is off: a message would be gone before its work is in the store; remove it")
    if not conf.task_reject_on_worker_lost:
        yield Broken("task_reject_on_worker_lost", "is off: what a killed process had would count as failed; remove it")
    prefetch = conf.worker_prefetch_multiplier if facts.prefetch is None else facts.prefetch
    if prefetch != 1:
        yield Broken(
            "worker_prefetch_multiplier",
            f"is {prefetch}, not 1: documents would wait behind a busy worker, past the visibility timeout; remove it",
        )
    if conf.worker_cancel_long_running_tasks_on_connection_loss:
        yield Broken(
            "worker_cancel_long_running_tasks_on_connection_loss",
            "is on: work that is paid for would be thrown away whenever Redis restarts; remove it",
        )
    if not _is(conf.worker_consumer, CONSUMER):
        yield Broken("worker_consumer", f"is not {CONSUMER}: one malformed message would end every worker; remove it")


def _content(conf: Any) -> Iterator[Broken]:
    for name in ("task_serializer", "result_serializer", "event_serializer"):
        if conf[name] in UNSAFE:
            yield Broken(name, f"is {conf[name]}: whoever can write to the broker could run code; use json")
    for name in ("accept_content", "result_accept_content"):
        unsafe = sorted(UNSAFE & set(conf[name] or ()))
        if unsafe:
            yield Broken(name, f"takes {unsafe[0]}: whoever can write to the broker could run code; leave it out")


def _limits(conf: Any, limit: float | None, task_limits: dict[str, float]) -> Iterator[Broken]:
    if not limit:
        yield Broken("task_time_limit", "is off: a chunk that hangs would hold its process for ever; set one")
    if _transport(conf.broker_url) not in TIMED_BROKERS:
        return
    visibility = float((conf.broker_transport_options or {}).get("visibility_timeout", DEFAULT_VISIBILITY))
    limits = {"task_time_limit": limit or 0.0} | {f"time_limit of {name}": value for name, value in task_limits.items()}
    for name, value in limits.items():
        if value >= visibility:
            yield Broken(
                name,
                f"({value:g} s) is not below the visibility_timeout ({visibility:g} s): a task that still runs would be"
                " delivered a second time; lower the one or raise the other",
            )


def _results(conf: Any, limit: float | None) -> Iterator[Broken]:
    least = CHORD_LIMITS * (limit or 0.0)
    chord = _seconds(conf.result_chord_expires) or _seconds(conf.result_expires)
    if chord is not None and chord < least:
        yield Broken(
            "result_chord_expires",
            f"({chord:g} s) is below {CHORD_LIMITS} times the hard time limit ({least:g} s): a long document's chord"
            " would lose its counter; raise it",
        )
    if not _seconds(conf.result_expires):
        yield Broken("result_expires", "is off: Redis would fill up with results; set one")
    if conf.task_ignore_result:
        yield Broken("task_ignore_result", "is on: nobody would learn of a document's end; remove it")
    if conf.task_always_eager:
        yield Broken("task_always_eager", "is on: nothing would be delivered again, nothing limited; remove it")


def _places(conf: Any) -> Iterator[Broken]:
    broker, backend = _transport(conf.broker_url), _scheme(conf.result_backend)
    if broker not in BROKERS:
        yield Broken(
            "broker_url",
            f"is {broker or 'not set'}: what a dead worker had would not come back; use redis://, rediss://,"
            " sentinel:// or amqp://",
        )
    if backend in USELESS_BACKENDS:
        yield Broken("result_backend", f"is {backend or 'not set'}: it can run no chord; use redis://…")


def _processes(facts: WorkerFacts) -> Iterator[Broken]:
    if facts.pool in ("prefork", "processes") or _is(facts.pool, PREFORK):
        return
    name = facts.pool if isinstance(facts.pool, str) else f"{facts.pool.__module__.rsplit('.', 1)[-1]}"
    yield Broken("worker_pool", f"is {name}: it enforces no hard time limit, a chunk could hang for ever; use prefork")


def _is(given: Any, wanted: str) -> bool:
    """Whether a class, or the name of one, is ``module:Class`` or made from it."""
    if isinstance(given, str):
        return given.replace(":", ".") == wanted.replace(":", ".")
    return any(f"{base.__module__}:{base.__qualname__}" == wanted for base in getattr(given, "__mro__", ()))


def _scheme(url: object) -> str:
    """The transport in a URL, or in the first of several."""
    first = url[0] if isinstance(url, (list, tuple)) and url else url
    return str(first or "").split(";")[0].split("://")[0].strip().lower()


def _transport(url: object) -> str:
    """kombu's transport: ``redis`` for ``redis+socket:///…`` too."""
    return _scheme(url).split("+")[0]


def _seconds(value: Any) -> float | None:
    return value.total_seconds() if isinstance(value, timedelta) else value
