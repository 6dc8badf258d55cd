"""The values of all metrics at one moment. Each part (store, broker, workers) is asked at once, and may fail alone.

The cost does not depend on the number of documents: the store's counts are kept by triggers, the rest is read from
indexes over what is under way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import redis

from .. import dead_list
from ..errors import SmartRagError
from ..instrumentation import metrics
from ..instrumentation.metrics import Metric
from ..models import Json
from ..names import QUEUES
from ..store import observed, tallies
from . import workers
from .broker import open_broker
from .checks import Subject, beat_age, redis_usage

logger = logging.getLogger(__name__)

#: One value: the metric, its labels' values, the value.
Sample = tuple[Metric, tuple[str, ...], float]

#: Values of one label at the most: error kinds come from generators of other people's.
MOST_LABELS: Final = 50


@dataclass(slots=True)
class Samples:
    """What was found at one moment."""

    at: float
    values: list[Sample] = field(default_factory=list)
    #: Why a part did not answer.
    problems: dict[str, str] = field(default_factory=dict)

    def of(self, metric: Metric) -> dict[tuple[str, ...], float]:
        """One metric's values by label values."""
        return {labels: value for each, labels, value in self.values if each is metric}


def gather(subject: Subject) -> Samples:
    """Ask everybody. Never raises for a part that is away."""
    found = Samples(time.time())
    with ThreadPoolExecutor(len(PARTS)) as pool:
        for name, (values, problem, seconds) in zip(
            PARTS, pool.map(lambda part: _timed(part, subject), PARTS.values()), strict=True
        ):
            found.values += values
            found.values.append((metrics.UP, (name,), 0.0 if problem else 1.0))
            found.values.append((metrics.SCRAPE_SECONDS, (name,), seconds))
            if problem:
                found.problems[name] = problem
    return found


def _timed(part: Callable[[Subject], Iterator[Sample]], subject: Subject) -> tuple[list[Sample], str, float]:
    begin, values, problem = time.perf_counter(), [], ""
    try:
        values = list(part(subject))
    except SmartRagError as error:
        problem = str(error)
    except Exception as error:  # whatever it stumbled over: the other parts are told all the same
        problem = type(error).__name__
        logger.exception("metrics of a part could not be read")
    return values, problem, time.perf_counter() - begin


def of_store(subject: Subject) -> Iterator[Sample]:
    """Counts and histograms, leases, outbox."""
    now = time.time()
    with subject.store.read() as connection:
        counts = tallies.totals(connection)
        held, expired = observed.leases(connection, now)
        outbox = observed.outbox_lag(connection)
        stalled = observed.oldest_open_run(connection)
    for metric in metrics.ALL:
        if metric.count and metric.kind != "histogram":
            yield from _counted(metric, tallies.labelled(counts, metric.count))
        elif metric.count:
            yield from ((metric, (label,), value) for label, value in _histogram(metric, counts).items())
    yield metrics.LEASES, ("held",), held
    yield metrics.LEASES, ("expired",), expired
    yield metrics.STALLED, (), now - stalled.since if stalled else 0.0
    for row in outbox:
        yield metrics.OUTBOX, (row.kind,), row.entries
        yield metrics.OUTBOX_OLDEST, (row.kind,), now - row.oldest


def _counted(metric: Metric, by_label: dict[str, float]) -> Iterator[Sample]:
    if not metric.labels:
        yield metric, (), sum(by_label.values())
        return
    ordered = sorted(by_label, key=lambda label: -by_label[label])
    for label in ordered[:MOST_LABELS]:
        yield metric, (label,), by_label[label]
    if ordered[MOST_LABELS:]:
        yield metric, ("other",), sum(by_label[label] for label in ordered[MOST_LABELS:])


def _histogram(metric: Metric, counts: dict[tallies.Key, float]) -> dict[str, float]:
    """``label|bucket`` and ``label|sum`` with their numbers, as the triggers keep them."""
    buckets = tallies.labelled(counts, metric.count)
    sums = tallies.labelled(counts, f"{metric.count}_sum")
    return buckets | {f"{label}|sum": value for label, value in sums.items()}


def of_broker(subject: Subject) -> Iterator[Sample]:
    """Queues, the dead list, Redis' memory, beat."""
    with open_broker(subject.app) as broker:
        states = broker.queues(QUEUES)
        dead = dead_list.count(broker.client, key=broker.prefix + dead_list.DEAD_LIST) if broker.client else 0
        info = _memory(broker.client) if broker.client else {}
    for state in states:
        yield metrics.QUEUE_WAITING, (state.name,), state.waiting
        if state.oldest_seconds is not None or not state.waiting:  # else it is not known
            yield metrics.QUEUE_OLDEST, (state.name,), state.oldest_seconds or 0.0
        if state.unacknowledged is not None:
            yield metrics.QUEUE_UNACKED, (state.name,), state.unacknowledged
    yield metrics.DEAD_LETTERS, (), dead
    if info:
        used, limit = redis_usage(info)
        yield metrics.REDIS_USED, (), used
        yield metrics.REDIS_LIMIT, (), limit
    age = beat_age(subject.app)
    if age is not None:
        yield metrics.BEAT_AGE, (), age


def _memory(client: redis.Redis) -> Json:
    """What INFO says of Redis' memory, {} for a user who may not ask."""
    try:
        found: Json = client.info("memory")
    except redis.exceptions.NoPermissionError:
        return {}
    return found


def of_workers(subject: Subject) -> Iterator[Sample]:
    """What the workers that answer do."""
    replies = workers.ask(subject.app, ("active", "active_queues", "stats"), subject.timeout)
    served, now = workers.consumers(replies["active_queues"]), time.time()
    yield metrics.WORKERS, (), len(replies["active_queues"])
    for queue in QUEUES:
        yield metrics.QUEUE_CONSUMERS, (queue,), len(served.get(queue, ()))
    for worker, active in replies["active"].items():
        started = [task["time_start"] for task in active or () if task.get("time_start")]
        yield metrics.WORKER_ACTIVE, (worker,), len(active or ())
        yield metrics.WORKER_LONGEST, (worker,), now - min(started) if started else 0.0
    for worker, stats in replies["stats"].items():
        if memory := stats.get("memory"):  # one of another version has none
            yield metrics.WORKER_MEMORY, (worker,), memory["used"]
            yield metrics.WORKER_MEMORY_FRACTION, (worker,), memory["fraction"]


PARTS: Final[dict[str, Callable[[Subject], Iterator[Sample]]]] = {
    "store": of_store,
    "broker": of_broker,
    "workers": of_workers,
}
