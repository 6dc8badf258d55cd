"""What a document that is not done waits for, in one line: the question that ``doctor`` answers.

The same facts decide as in the sweep: who holds a lease and lives, what is due, what a queue has that was sent before.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row

from ..models import RunStatus
from ..names import CELERY, PROCESS_DOCUMENT_PIPELINE, queue_of
from ..reliability import owners
from ..settings import mask
from ..store import documents, lost, waiting
from .environment import Environment


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """What the broker and the workers say."""

    #: Messages that wait, by queue.
    waiting: Mapping[str, int]
    #: Workers by queue; queues without one are missing.
    served: Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A document that is not done."""

    document_id: str
    status: str
    #: What it waits for, one line.
    reason: str
    #: What mends it; "" when it mends itself.
    command: str = ""

    @property
    def wrong(self) -> bool:
        """Whether somebody has to do something."""
        return bool(self.command) and self.status not in (RunStatus.PAUSED, RunStatus.CANCELLED)


def waiting_documents(env: Environment, broker: BrokerFacts | None, document_id: str | None = None) -> list[Waiting]:
    """Every document that is under way, or the one asked for; ``broker`` None: it does not answer.

    The one asked for is also told of when it has ended badly.
    """
    now = time.time()
    with env.store.read() as connection:
        runs = waiting.open_runs(connection, document_id)
        wanted = None if document_id is None else [run.run_id for run in runs]
        found = _Diagnosis(env, connection, broker, now, runs, waiting.open_batches(connection, wanted), wanted)
        waits = [found.of(run) for run in runs]
        return waits if waits or document_id is None else _ended_badly(connection, document_id)


def _ended_badly(connection: Connection, document_id: str) -> list[Waiting]:
    """The document, if its newest run broke off or has failed chunks."""
    row = documents.get(connection, document_id)
    if row is None or not (row.reason or row.failed):
        return []
    reason = row.reason or f"{row.failed} of {_count(row.total, 'chunk')} failed"
    # `retry` uses the run's own generator, which may be what broke it
    mends = "regenerate" if row.reason and row.status == RunStatus.FAILED else "retry"
    return [Waiting(document_id, row.status, reason, f"smart-rag-tasks {mends} {document_id}")]


#: Said of everything that needs the broker while it is away.
NO_BROKER: Final = "the broker, which does not answer; all is in the store and goes on when it is back"


@dataclass(slots=True)
class _Diagnosis:
    env: Environment
    connection: Connection
    broker: BrokerFacts | None
    now: float
    runs: list[Row[Any]]
    batches: dict[str, Row[Any]]
    #: The runs that are looked at; None: all that are open.
    wanted: list[str] | None
    #: Of each run with batches that wait for a retry: the kind of error; None: not read yet.
    errors: dict[str, str] | None = None
    planned: dict[str, float] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    #: Of each run that waits for its plan: how many were sent before it.
    runs_ahead: dict[str, int] = field(default_factory=dict)
    #: Of each run with batches in a queue: how many batches were sent before its own.
    batches_ahead: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.wanted is not None:
            return  # what is before these is counted in the store
        counts: Counter[str] = Counter()
        for run in self.runs:  # oldest first
            self.runs_ahead[run.run_id] = counts[run.lane]
            counts[run.lane] += run.stage == "queued"
        counts.clear()
        for summary in sorted((it for it in self.batches.values() if it.idle), key=lambda it: it.published_at):
            self.batches_ahead[summary.run_id] = counts[summary.queue]
            counts[summary.queue] += summary.idle

    def of(self, run: Row[Any]) -> Waiting:
        """One run."""
        if run.status == RunStatus.PAUSED:
            return self._say(run, "paused by an operator", f"smart-rag-tasks resume {run.document_id}")
        if run.engine != CELERY:
            return self._say(run, f"a worker of {run.engine.upper()}, which has this run; `smart-rag-tasks rq status`")
        if self.broker is None:
            return self._say(run, NO_BROKER, f"check that {mask(self.env.settings.broker_url)} is up")
        if run.stage == "queued":
            return self._entry(run, self.broker)
        summary = self.batches.get(run.run_id)
        if summary is None:
            return self._say(run, f"its end: all chunks are settled, the next sweep makes it {self._sweep()}")
        return self._work(run, summary, self.broker)

    def _entry(self, run: Row[Any], broker: BrokerFacts) -> Waiting:
        """Its entry message: not looked at yet, on its way, or lost."""
        queue = queue_of(PROCESS_DOCUMENT_PIPELINE, run.lane)
        if queue not in broker.served:
            return self._nobody_serves(run, queue)
        sent, again = run.published_at or 0.0, self._again_at(run.published_at, run.redrives)
        if broker.waiting.get(queue, 0) and sent >= self._newest_planned(run.lane):
            return self._say(run, _place(queue, self._runs_ahead(run), "document"))
        return self._say(run, self._lost("entry message", again))

    def _work(self, run: Row[Any], summary: Row[Any], broker: BrokerFacts) -> Waiting:
        """Its batches: in a worker's hands, due later, queued, or lost."""
        total, done = run.batches, run.batches - summary.leased - summary.due - summary.idle
        so_far = f"{done} of {_count(total, 'batch', 'batches')} done, "
        if summary.leased:
            return self._say(run, so_far + self._leased(summary))
        if summary.due and not (summary.idle and summary.queue in broker.served):
            kind = self._error(run) or "an error that may go away"
            return self._say(run, f"{so_far}waiting for the retry at {clock(summary.due_at)} ({kind})")
        if summary.queue not in broker.served:
            return self._nobody_serves(run, summary.queue)
        if broker.waiting.get(summary.queue, 0) and summary.published_at >= self._newest_started(summary.queue):
            return self._say(run, so_far + self._queued(summary))
        return self._say(run, so_far + self._lost("message", self._again_at(summary.published_at, summary.redrives)))

    def _leased(self, summary: Row[Any]) -> str:
        host, pid, _ = summary.owner.rsplit("|", 2)
        who = f"process {pid} on {host.rsplit('/', 1)[0]}"
        more = f" and {summary.leased - 1} more" if summary.leased > 1 else ""
        if owners.is_dead(summary.owner):
            return f"leased by {who}, which died; taken over {self._sweep()}"
        if summary.lease_until < self.now:
            return f"leased by {who}, whose lease ended at {clock(summary.lease_until)}; taken over {self._sweep()}"
        return f"leased by {who}{more} until {clock(summary.lease_until)}"

    def _queued(self, summary: Row[Any]) -> str:
        place = _place(summary.queue, self._batches_ahead(summary), "batch", "batches")
        return f"{summary.idle} {place}" if summary.idle > 1 else place

    def _runs_ahead(self, run: Row[Any]) -> int:
        if self.wanted is None:
            return self.runs_ahead[run.run_id]
        return waiting.runs_before(self.connection, run)

    def _batches_ahead(self, summary: Row[Any]) -> int:
        if self.wanted is None:
            return self.batches_ahead[summary.run_id]
        return waiting.batches_before(self.connection, summary)

    def _error(self, run: Row[Any]) -> str:
        if self.errors is None:
            self.errors = waiting.last_errors(self.connection, self.wanted)
        return self.errors.get(run.run_id, "")

    def _newest_planned(self, lane: str) -> float:
        """When the newest entry message was sent whose run has long been planned: one sent before it is lost."""
        if lane not in self.planned:
            before = self.now - self.env.settings.lost_after
            self.planned[lane] = lost.newest_planned(self.connection, CELERY, lane, before)
        return self.planned[lane]

    def _newest_started(self, queue: str) -> float:
        """The same for the messages of batches."""
        if queue not in self.started:
            before = self.now - self.env.settings.lost_after
            self.started[queue] = lost.newest_started(self.connection, queue, before)
        return self.started[queue]

    def _again_at(self, sent: float | None, redrives: int) -> float:
        """When the sweep takes a message for lost."""
        return (sent or 0.0) + self.env.settings.lost_after * (1 + redrives)

    def _lost(self, what: str, again: float) -> str:
        if again > self.now:
            return f"its {what} is on its way; if it is lost, it is sent again at {clock(again)}"
        return f"its {what} is lost; sent again {self._sweep()}"

    def _sweep(self) -> str:
        return f"within {self.env.settings.sweep_seconds:g} s"

    def _nobody_serves(self, run: Row[Any], queue: str) -> Waiting:
        return self._say(run, f"no worker serves {queue}", f"celery -A smart_rag_tasks worker -Q {queue}")

    def _say(self, run: Row[Any], reason: str, command: str = "") -> Waiting:
        return Waiting(run.document_id, run.status, reason, command)


def _place(queue: str, ahead: int, noun: str, plural: str = "") -> str:
    return (
        f"queued behind {_count(ahead, noun, plural)} in {queue}"
        if ahead
        else f"next in {queue}, when a worker is free"
    )


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def clock(at: float) -> str:
    """A time of today as ``14:03:25``, of another day with its date; local time."""
    when = datetime.fromtimestamp(at).astimezone()
    today = datetime.now().astimezone().date()
    return f"{when:%H:%M:%S}" if when.date() == today else f"{when:%Y-%m-%d %H:%M:%S}"
