"""What `top` shows: the metrics of one moment, the rates since the moment before, and the documents behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from ..errors import SmartRagError
from ..instrumentation import metrics
from ..models import Json
from ..store import observed
from .checks import Subject
from .samples import Samples, gather

#: Documents of each kind that are listed.
LISTED = 5


@dataclass(slots=True)
class Overview:
    """One moment."""

    samples: Samples
    #: Outcomes a second since the moment before: ``generated``, ``unchanged``, ``failed``; {} for the first.
    rates: dict[str, float] = field(default_factory=dict)
    running: list[Row[Any]] = field(default_factory=list)
    failures: list[Row[Any]] = field(default_factory=list)

    def number(self, metric: metrics.Metric, *labels: str) -> float | None:
        """One value, None if nobody told it."""
        return self.samples.of(metric).get(labels)


def look(subject: Subject, before: Samples | None = None) -> Overview:
    """The overview now; ``before`` is what the one before was made of."""
    found = Overview(gather(subject))
    if before is not None:
        found.rates = _rates(before, found.samples)
    try:
        with subject.store.read() as connection:
            found.running = observed.running_documents(connection, LISTED)
            found.failures = observed.recent_failures(connection, LISTED)
    except SmartRagError as error:
        found.samples.problems.setdefault("store", str(error))
    return found


def _rates(before: Samples, now: Samples) -> dict[str, float]:
    seconds = max(now.at - before.at, 0.001)
    earlier = before.of(metrics.CHUNKS)
    return {
        outcome: max(0.0, value - earlier.get((outcome,), 0.0)) / seconds
        for (outcome,), value in now.of(metrics.CHUNKS).items()
    }


def as_json(found: Overview) -> Json:
    """The overview as plain values."""
    values: Json = {}
    for metric, labels, value in found.samples.values:
        if metric.kind != "histogram":
            values.setdefault(metric.name, {})[",".join(labels)] = value
    return {
        "at": found.samples.at,
        "problems": found.samples.problems,
        "metrics": values,
        "running": [dict(row._mapping) for row in found.running],
        "failures": [dict(row._mapping) for row in found.failures],
    }
