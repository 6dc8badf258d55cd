"""The alert rules: one list, typed, with the requirements document's thresholds as defaults.

A rule measures one number for each of its subjects (a queue, a worker, …) and compares it with its threshold; it fires
when that has held for ``hold`` seconds. The same list is rendered for Prometheus (``prometheus_rules``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ..errors import InvalidSettings
from ..instrumentation import metrics
from ..instrumentation.metrics import Metric
from .samples import Samples

SEVERITIES: Final = ("info", "warning", "critical")

#: Seconds between two evaluations: the requirements document's interval of health checks.
INTERVAL: Final = 30.0
#: Seconds of the past that rates are taken over.
ERROR_WINDOW: Final = 300.0
GROWTH_WINDOW: Final = 600.0
#: Chunks within the window below which an error rate says nothing: 1 of 1 is 100 %.
MIN_SAMPLE: Final = 20

#: What a rule measured: the subject ("" if there is but one) and its number. None: nobody could tell.
Measured = dict[str, float] | None


@dataclass(frozen=True, slots=True)
class Moment:
    """What the rules look at."""

    samples: Samples
    #: Counts as they were up to ``ERROR_WINDOW`` and ``GROWTH_WINDOW`` seconds ago (see ``remembered``).
    errors_before: Mapping[str, float]
    growth_before: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rule:
    """When something is wrong."""

    name: str
    #: In words, for people: what is the matter. ``{subject}``, ``{value}`` and ``{threshold}`` are filled in.
    message: str
    measure: Callable[[Moment], Measured]
    #: ``>`` or ``<``: on which side of the threshold it is wrong.
    operator: str
    threshold: float
    #: Seconds that it has to be wrong before anybody is told.
    hold: float
    severity: str
    #: The same in Prometheus' words, without the comparison unless ``{threshold}`` stands in it.
    promql: str
    #: How numbers are written: "" for a plain one, "%", "s".
    unit: str = ""
    enabled: bool = True

    def is_wrong(self, value: float) -> bool:
        """Whether a measured number is on the wrong side."""
        return value > self.threshold if self.operator == ">" else value < self.threshold

    def describe(self, subject: str, value: float) -> str:
        """The message with its numbers."""
        return self.message.format(subject=subject, value=self.number(value), threshold=self.number(self.threshold))

    def number(self, value: float) -> str:
        """A number in the rule's unit."""
        return f"{value:.1%}" if self.unit == "%" else f"{value:,.0f}{' ' + self.unit if self.unit else ''}"


def _each(metric: Metric) -> Callable[[Moment], Measured]:
    """A metric's values by their one label; None when its part did not answer."""

    def measure(moment: Moment) -> Measured:
        found = moment.samples.of(metric)
        return {labels[0] if labels else "": value for labels, value in found.items()} if found else None

    return measure


def _consumers(moment: Moment) -> Measured:
    """Of each queue; without any worker, another rule says so already."""
    answering = moment.samples.of(metrics.WORKERS).get(())
    if answering is None:
        return None
    served = moment.samples.of(metrics.QUEUE_CONSUMERS)
    return {queue: count for (queue,), count in served.items()} if answering else {}


def _redis_memory(moment: Moment) -> Measured:
    used, limit = moment.samples.of(metrics.REDIS_USED).get(()), moment.samples.of(metrics.REDIS_LIMIT).get(())
    return {"": used / limit} if used is not None and limit else None


def _error_rate(moment: Moment) -> Measured:
    now = remembered(moment.samples)
    if "failed" not in now or "failed" not in moment.errors_before:
        return None
    failed, generated = (max(0.0, now[each] - moment.errors_before[each]) for each in ("failed", "generated"))
    return {"": failed / (failed + generated) if failed + generated >= MIN_SAMPLE else 0.0}


def _dead_letters(moment: Moment) -> Measured:
    now = remembered(moment.samples)
    return {"": now["dead"] - moment.growth_before.get("dead", now["dead"])} if "dead" in now else None


def _sink(moment: Moment) -> Measured:
    if not moment.samples.of(metrics.UP).get(("store",)):
        return None
    ages = moment.samples.of(metrics.OUTBOX_OLDEST)
    return {"": max((age for (kind,), age in ages.items() if kind.startswith("sink")), default=0.0)}


def remembered(samples: Samples) -> dict[str, float]:
    """The counts that rules need from the past: chunks ``failed`` and ``generated``, ``dead`` letters."""
    found: dict[str, float] = {}
    if samples.of(metrics.UP).get(("store",)):
        chunks = samples.of(metrics.CHUNKS)
        found = {each: chunks.get((each,), 0.0) for each in ("failed", "generated")}
    dead = samples.of(metrics.DEAD_LETTERS).get(())
    return found if dead is None else {**found, "dead": dead}


_CHUNKS = 'sum(increase(smart_rag_chunks_total{{outcome=~"failed|generated"}}[5m]))'

RULES: Final[tuple[Rule, ...]] = (
    Rule("worker_down", "no worker answers", _each(metrics.WORKERS), "<", 1, 30, "critical",
         "smart_rag_workers < {threshold} or absent(smart_rag_workers)"),
    Rule("queue_length", "{value} messages wait in {subject} (limit {threshold})",
         _each(metrics.QUEUE_WAITING), ">", 1000, 60, "warning", "smart_rag_queue_waiting"),
    Rule("oldest_message", "the oldest message in {subject} is {value} old (limit {threshold})",
         _each(metrics.QUEUE_OLDEST), ">", 600, 60, "warning", "smart_rag_queue_oldest_seconds", "s"),
    Rule("queue_without_consumer", "nobody serves {subject}",
         _consumers, "<", 1, 60, "critical",
         "smart_rag_queue_consumers < {threshold} and on () smart_rag_workers > 0"),
    Rule("error_rate", "{value} of the chunks of the last minutes failed (limit {threshold})",
         _error_rate, ">", 0.05, 0, "warning",
         'sum(increase(smart_rag_chunks_total{{outcome="failed"}}[5m])) / ' + _CHUNKS
         + f" > {{threshold}} and {_CHUNKS} >= {MIN_SAMPLE}", "%"),
    Rule("task_too_long", "a task on {subject} has been running for {value} (limit {threshold})",
         _each(metrics.WORKER_LONGEST), ">", 600, 0, "warning", "smart_rag_worker_longest_task_seconds", "s"),
    Rule("worker_memory", "{subject} uses {value} of the memory (limit {threshold})",
         _each(metrics.WORKER_MEMORY_FRACTION), ">", 0.8, 60, "warning", "smart_rag_worker_memory_fraction", "%"),
    Rule("redis_memory", "Redis uses {value} of its memory (limit {threshold})", _redis_memory, ">", 0.8, 60,
         "critical", "smart_rag_redis_memory_used_bytes / smart_rag_redis_memory_limit_bytes", "%"),
    Rule("beat_silent", "beat has not ticked for {value} (limit {threshold})",
         _each(metrics.BEAT_AGE), ">", 60, 30, "warning", "smart_rag_beat_last_tick_seconds", "s"),
    Rule("documents_stuck", "a running document has made no progress for {value} (limit {threshold})",
         _each(metrics.STALLED), ">", 900, 0, "warning", "smart_rag_stalled_run_seconds", "s"),
    Rule("sink_down", "records have waited for the vector store for {value} (limit {threshold})", _sink, ">", 300, 0,
         "warning", 'smart_rag_outbox_oldest_seconds{{kind=~"sink|sink_delete"}}', "s"),
    Rule("dead_letters", "{value} messages were put on the dead list in the last minutes", _dead_letters, ">", 0, 0,
         "warning", "delta(smart_rag_dead_letters[10m])"),
)  # fmt: skip

#: What may be set of a rule, with the type it must have.
_SETTABLE: Final[dict[str, tuple[type, ...]]] = {
    "threshold": (int, float), "for": (int, float), "severity": (str,), "enabled": (bool,)
}  # fmt: skip


def rules(changes: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules with the settings' changes; raises InvalidSettings with the rule and field that are wrong."""
    known = {rule.name: rule for rule in RULES}
    for name, fields in changes.items():
        if name not in known:
            raise InvalidSettings(f"SMART_RAG_ALERTS: there is no rule {name!r}; there are {', '.join(known)}")
        if not isinstance(fields, Mapping):
            raise InvalidSettings(f'SMART_RAG_ALERTS: {name}: must be an object, e.g. {{"threshold": 5}}')
        known[name] = _changed(known[name], fields)
    return tuple(known.values())


def _changed(rule: Rule, fields: Mapping[str, Any]) -> Rule:
    for key, value in fields.items():
        kinds: Any = _SETTABLE.get(key)
        if kinds is None:
            raise InvalidSettings(f"SMART_RAG_ALERTS: {rule.name}: no field {key!r}; use {', '.join(_SETTABLE)}")
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise InvalidSettings(f"SMART_RAG_ALERTS: {rule.name}: {key} must be a {kinds[-1].__name__}")
        if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
            raise InvalidSettings(f"SMART_RAG_ALERTS: {rule.name}: {key} must be 0 or more")
    if rule.unit == "%" and fields.get("threshold", 0) > 1:
        raise InvalidSettings(f"SMART_RAG_ALERTS: {rule.name}: threshold is a fraction, 1 is all")
    if fields.get("severity", rule.severity) not in SEVERITIES:
        raise InvalidSettings(f"SMART_RAG_ALERTS: {rule.name}: severity must be one of {', '.join(SEVERITIES)}")
    renamed = {"hold" if key == "for" else key: value for key, value in fields.items()}
    return replace(rule, **renamed)
