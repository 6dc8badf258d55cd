"""Batch metadata: take the lease, generate, write the results in one transaction, give the lease back."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from ..errors import InvalidSettings, StoreUnavailable
from ..metadata import cache_key, compose_context
from ..models import Chunk, ChunkFailure, ChunkMetadata, ChunkState, DocumentContext, Json, Outcome
from ..reliability.retry import delay_before_retry
from ..store import batches, facts, runs
from ..store.rows import chunk_of, metadata_of, metadata_to_json
from .calling import SOFT_LIMIT, call
from .environment import Environment
from .lease import Lease, Refusal, renewing, take
from .planning import cost_name

logger = logging.getLogger(__name__)

#: Seconds a batch waits for a store that does not answer before it leaves its work to the sweep: a slot without a
#: store has nothing else to do, and burning through the queue would only make work for the sweep.
PATIENCE = 30.0

#: Seconds until a batch that broke off is tried again.
BROKEN_PAUSE = 1.0

#: Seconds between two notes of a generator's measured cost, a process.
COST_INTERVAL = 5.0

#: The error kind of a chunk whose tries never ended.
PROCESS_DIED = "ProcessDied"


@dataclass(frozen=True, slots=True)
class Progress:
    """A run's counters after a batch."""

    done: int
    failed: int
    total: int
    #: Whether this caller may send a PROGRESS update (one a second a run).
    may_tell: bool


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a batch did."""

    #: ``done``, ``waiting`` (some chunks are tried again later), or the reason of a refusal.
    outcome: str
    done: int = 0
    failed: int = 0
    progress: Progress | None = None


def run_batch(env: Environment, run_id: str, number: int) -> BatchResult:
    """Work on one batch. Never raises because of a chunk; raises StoreUnavailable after ``PATIENCE`` seconds."""
    lease = env.store.patiently(lambda: take(env, run_id, number), patience=PATIENCE)
    if isinstance(lease, Refusal):
        return BatchResult(lease.reason)
    try:
        with renewing(env, lease):
            return env.store.patiently(lambda: _Batch(env, lease), patience=PATIENCE).work()
    except StoreUnavailable:
        raise
    except Exception:  # no chunk's error: those are caught where the generator is called
        logger.exception("batch %d of run %s broke off; it is tried again chunk by chunk", number, run_id)
        with env.store.write() as connection:
            batches.count_failure(connection, run_id, number, due_at=time.time() + BROKEN_PAUSE)
        return BatchResult("broken")


class _Unloadable:
    """Stands for a generator that this worker cannot load (half a deploy): the chunks' error, tried again."""

    fingerprint = ""

    def __init__(self, error: InvalidSettings) -> None:
        self.error = error

    def generate(self, chunks: Sequence[Chunk], document: DocumentContext) -> list[Outcome]:
        raise self.error


def _generator(env: Environment, run: Row[Any]) -> Any:
    try:
        return env.generator(run.generator, run.options)
    except InvalidSettings as error:
        return _Unloadable(error)


class _Batch:
    """The work on one batch, under its lease."""

    def __init__(self, env: Environment, lease: Lease) -> None:
        self.env, self.lease = env, lease
        self.generator = _generator(env, lease.run)
        self.document = DocumentContext(
            lease.document_id, lease.run.title or "", lease.run.language or "", lease.run.source or ""
        )
        with env.store.read() as connection:
            self.rows = batches.pending_chunks(connection, lease.document_id, lease.run_id, lease.number)
            self.chunks = {row.chunk_id: chunk_of(row) for row in self.rows}
            self.keys = {name: cache_key(chunk, self.document, self.generator) for name, chunk in self.chunks.items()}
            self.known = {} if lease.run.force else _generated_before(connection, list(self.keys.values()))
        self.left = len(self.rows)
        self.done = self.failed = 0
        self.retry_at: float | None = None
        self.stopped = False
        self.progress: Progress | None = None

    def work(self) -> BatchResult:
        """Generate and write; the batch is closed, or given back with what is left."""
        careful = [row for row in self.rows if self.lease.careful or row.attempts]
        together = [row for row in self.rows if not (self.lease.careful or row.attempts)]
        if together:
            started = time.perf_counter()
            outcomes = self._outcomes(together)
            self._write(together, outcomes, cost=(time.perf_counter() - started) / len(together))
        for row in careful:
            if self.stopped or self.lease.lost.is_set():
                break
            self._alone(row)
        if self.left or not self.rows:
            self._write([], [], last=True)
        return BatchResult("waiting" if self.left else "done", self.done, self.failed, self.progress)

    def _alone(self, row: Row[Any]) -> None:
        """One chunk whose batch saw a death or an error; marked before it is tried, so that a death names it."""
        tries = row.marks + 1  # the first one was the whole batch's
        if self.lease.careful and tries >= self.env.settings.max_attempts:
            self._write([row], [process_died(tries)])
            return
        self.env.store.patiently(lambda: self._mark(row), patience=PATIENCE)
        self._write([row], self._outcomes([row]))

    def _mark(self, row: Row[Any]) -> None:
        with self.env.store.write() as connection:
            batches.mark(connection, row.document_id, row.chunk_id, row.run_id)

    def _outcomes(self, rows: Sequence[Row[Any]]) -> list[Outcome]:
        """One outcome a row; equal texts are generated once, and what was generated before not at all."""
        keys = [self.keys[row.chunk_id] for row in rows]
        wanted: dict[str, Chunk] = {}
        for key, row in zip(keys, rows, strict=True):
            if key not in self.known:
                wanted.setdefault(key, self.chunks[row.chunk_id])
        fresh = dict(zip(wanted, self._call(list(wanted.values())), strict=True))
        self.stopped = any(isinstance(it, ChunkFailure) and it.kind == SOFT_LIMIT for it in fresh.values())
        return [fresh[key] if key in fresh else self.known[key] for key in keys]

    def _call(self, chunks: list[Chunk]) -> list[Outcome]:
        cap = getattr(self.generator, "max_batch", None) or len(chunks) or 1
        outcomes: list[Outcome] = []
        for start in range(0, len(chunks), cap):
            outcomes += call(self.generator, chunks[start : start + cap], self.document)
        return outcomes

    def _write(
        self, rows: Sequence[Row[Any]], outcomes: Sequence[Outcome], *, cost: float | None = None, last: bool = False
    ) -> None:
        """Outcomes and, with the last of them, the batch's end, in one transaction.

        What was paid for is written even if the run was cancelled meanwhile: a row takes metadata only for the run
        that lists it, and only once.
        """
        now = time.time()
        pairs = list(zip(rows, outcomes, strict=True))
        done = [self._done(row, outcome, now) for row, outcome in pairs if isinstance(outcome, ChunkMetadata)]
        failed = [self._failed(row, outcome, now) for row, outcome in pairs if isinstance(outcome, ChunkFailure)]
        ended = sum(1 for row in failed if row["state"] != ChunkState.PENDING.value)
        self.left -= len(done) + ended

        def transaction() -> int:
            with self.env.store.write() as connection:
                wrote = batches.write_done(connection, done)
                batches.write_failed(connection, failed)
                self._count(connection, wrote, ended, now)
                self._release(connection, last)
                if cost is not None and done:
                    _note_cost(self.env, connection, self.generator.fingerprint, cost, now)
            return wrote

        self.done += self.env.store.patiently(transaction, patience=self.env.settings.soft_time_limit)
        self.failed += ended

    def _count(self, connection: Connection, wrote: int, ended: int, now: float) -> None:
        told = runs.add_progress(connection, self.lease.run_id, wrote, ended, now)
        if told is not None:
            self.progress = Progress(told.done + told.unchanged, told.failed, told.total, told.progress_at == now)

    def _release(self, connection: Connection, last: bool) -> None:
        lease = self.lease
        if not self.left:
            batches.close(connection, lease.run_id, lease.number, owner=lease.owner)
        elif last:
            batches.give_back(connection, lease.run_id, lease.number, owner=lease.owner, due_at=self.retry_at)

    def _done(self, row: Row[Any], outcome: ChunkMetadata, now: float) -> Json:
        return {
            **_key(row),
            "meta": metadata_to_json(outcome),
            "meta_key": self.keys[row.chunk_id],
            "context": compose_context(self.document.title, row.section_path, outcome.gist),
            "generator": self.lease.run.generator,
            "fingerprint": self.generator.fingerprint,
            "generated_at": now,
            "tokens": outcome.tokens,
        }

    def _failed(self, row: Row[Any], outcome: ChunkFailure, now: float) -> Json:
        attempts = row.attempts + 1
        delay = delay_before_retry(outcome, attempts)
        if delay is not None:
            self.retry_at = max(self.retry_at or 0.0, now + delay)
            state = ChunkState.PENDING
        else:
            state = ChunkState.QUARANTINED if outcome.kind == PROCESS_DIED else ChunkState.FAILED
        return {
            **_key(row),
            "state": state.value,
            "attempts": attempts,
            "error_kind": outcome.kind,
            "error": outcome.message,
            "traceback": outcome.traceback,
        }


def _key(row: Row[Any]) -> Json:
    return {"document_id": row.document_id, "chunk_id": row.chunk_id, "run_id": row.run_id}


def process_died(tries: int) -> ChunkFailure:
    """The failure of a chunk none of whose tries ended."""
    return ChunkFailure(
        PROCESS_DIED,
        f"its process died, was killed at the time limit, or could not write, in each of {tries} tries: look at the"
        " generator, then `smart-rag-tasks retry`",
    )


def _generated_before(connection: Connection, keys: Sequence[str]) -> dict[str, Outcome]:
    found = batches.generated_before(connection, keys) if keys else {}
    return {key: metadata_of(meta) for key, meta in found.items()}


def _note_cost(env: Environment, connection: Connection, fingerprint: str, cost: float, now: float) -> None:
    """Smoothed over batches; written seldom, else every batch would wait for one hot row."""
    if now - env.cost_noted < COST_INTERVAL:
        return
    env.cost_noted = now
    before = facts.get(connection, cost_name(fingerprint))
    smoothed = cost if before is None else 0.7 * before + 0.3 * cost
    facts.put(env.store, connection, cost_name(fingerprint), smoothed, now)
