"""Preprocessing: what of a run has to be generated, and in which batches."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row

from ..errors import StoreUnavailable, UnknownRun, words_of
from ..metadata import cache_key, compose_context, title_of
from ..metadata.generator import MetadataGenerator
from ..models import TERMINAL, WITHOUT_METADATA, ChunkState, DocumentContext, Json, RunStatus
from ..names import GENERATE_BATCH, queue_of
from ..store import admission, batches, facts, runs
from ..store.rows import chunk_of
from .environment import Environment
from .finish import end_early
from .lease import PLANNING, Refusal, give_back, renewing, take_step
from .outcomes import valid_title

logger = logging.getLogger(__name__)

#: Chunks planned in one transaction: memory stays flat, and no writer waits long for SQLite's one lock.
PAGE = 2000

#: Chunks at the start that a document's title is taken from.
TITLE_CHUNKS = 20

#: Seconds a chunk is thought to cost before anything was measured; a generator may say ``seconds_per_chunk``.
UNKNOWN_COST = 0.05

#: Seconds that a process goes by the cost it has read.
COST_KEPT = 5.0

#: Batches that a large document is cut into at the most, as far as ``max_batch`` allows: each one is a message.
MOST_BATCHES = 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run has to do."""

    run_id: str
    document_id: str
    lane: str
    #: Batches in all; 0: nothing to generate.
    batches: int
    #: Numbers of those that are not done yet.
    open: tuple[int, ...]
    #: The run had ended before.
    ended: bool = False


def look(env: Environment, run_id: str) -> Row[Any]:
    """The run's row; raises UnknownRun."""
    with env.store.read() as connection:
        run = runs.get(connection, run_id)
    if run is None:
        raise UnknownRun(f"run {run_id} is not in the store; it may have expired")
    return run


def plan(env: Environment, run_id: str, *, again: bool = False, seen: Row[Any] | None = None) -> Plan:
    """Plan the run (``seen``: its row, just read); whoever comes second gets the plan that is there. Raises UnknownRun.

    Under a lease if the planning takes a while, or may have killed a process (``again``: the message was delivered
    before). A run that cannot be planned in ``max_attempts`` tries has failed; one that may be tried again has no
    open batches yet.
    """
    run = seen or look(env, run_id)
    if run.status not in TERMINAL and run.stage == "queued":
        tried = again or run.redrives > 0
        count = _plan_under_lease(env, run, deaths=int(tried)) if tried or run.total > PAGE else _plan(env, run)
        if count is not None:
            return Plan(run_id, run.document_id, run.lane, count, tuple(range(count)))
    return current_plan(env, run_id)


def _plan_under_lease(env: Environment, run: Row[Any], deaths: int) -> int | None:
    lease = take_step(env, run.run_id, PLANNING, deaths=deaths)
    if isinstance(lease, Refusal):
        return None  # somebody plans it right now
    if lease.deaths >= env.settings.max_attempts:
        reason = "its process died, or was killed at the time limit, in each of"
        _give_up(env, run, f"planning failed: {reason} {lease.deaths} tries; look at the generator and the workers")
        return None
    try:
        with renewing(env, lease):
            count = _plan(env, run)
    except Exception:
        give_back(env, lease)
        raise
    give_back(env, lease)  # not after a SystemExit: the next one shall see that somebody died on it
    return count


def _plan(env: Environment, run: Row[Any]) -> int | None:
    """One try; how many batches, None if it made no plan.

    What is wrong with the run, and not with the store, counts: it must not be tried for ever.
    """
    try:
        return _Planner(env, run).work()
    except StoreUnavailable:
        raise
    except Exception as error:  # a generator that cannot be loaded here, a time limit, a mistake of ours
        logger.exception("run %s could not be planned", run.run_id)
        with env.store.write() as connection:
            batches.insert_step(env.store, connection, run.run_id, PLANNING, 0)
            tries = batches.count_failure(connection, run.run_id, PLANNING, due_at=None)
        if tries >= env.settings.max_attempts:
            _give_up(env, run, f"planning failed in each of {tries} tries: {words_of(error)}")
        return None


def _give_up(env: Environment, run: Row[Any], reason: str) -> None:
    with env.store.write() as connection:
        end_early(connection, run, RunStatus.FAILED, reason, time.time(), feed=bool(env.settings.sink))


def current_plan(env: Environment, run_id: str, *, publish: bool = False) -> Plan:
    """The plan as the store has it; ``publish``: note that messages for its open batches go out now."""
    run = look(env, run_id)
    if run.status in TERMINAL:
        return Plan(run_id, run.document_id, run.lane, run.batches, (), ended=True)
    with env.store.write() if publish else env.store.read() as connection:
        numbers = tuple(batches.numbers_open(connection, run_id))
        if publish:
            batches.mark_published(connection, run_id, time.time())
    return Plan(run_id, run.document_id, run.lane, run.batches, numbers)


def progress_of(run: Row[Any], stage: str) -> Json | None:
    """What a PROGRESS update says, None when the run has ended."""
    if run.status in TERMINAL:
        return None
    done = run.done + run.failed + run.unchanged
    percent = round(100 * done / run.total, 1) if run.total else 0.0
    return {
        "document_id": run.document_id,
        "run_id": run.run_id,
        "stage": stage,
        "done": done,
        "total": run.total,
        "percent": percent,
    }


def batch_size(
    cost: float, chunks: int, *, seconds: float, slots: int, most: int, own_cap: int | None, batches: int = MOST_BATCHES
) -> int:
    """Chunks a batch: ``seconds`` of work at ``cost`` seconds a chunk.

    A quarter of a slot's share, though, where that is still half as much work, and as many batches for each slot, so
    that slots end together, unless the whole document is one batch's work; more for very large documents, to keep the
    number of messages below ``batches``. A model's own cap holds.
    """
    cap = min(most, own_cap or most)
    wanted = max(int(seconds / max(cost, 1e-6)), -(-chunks // batches))
    if chunks <= wanted:
        return max(1, min(chunks, cap))
    wanted = max(1, min(wanted, max(chunks // (4 * slots), wanted // 2), cap))
    rounds = max(1, round(chunks / (slots * wanted)))
    even = -(-chunks // (slots * rounds))
    return min(even, wanted + wanted // 8, cap)  # even, but not at the price of much longer batches


def title_for(generator: MetadataGenerator, rows: Sequence[Row[Any]], hint: str) -> str:
    """The document's title from its first chunks; a generator whose ``title`` fails costs the title only."""
    try:
        return valid_title(title_of(generator, [chunk_of(row) for row in rows], hint))
    except Exception:
        logger.exception("the generator's title() failed; the parser's title is used")
        return hint


class _Planner:
    """Plans one run page by page; every page is fenced by the run still waiting for its plan."""

    def __init__(self, env: Environment, run: Row[Any]) -> None:
        self.env, self.run = env, run
        self.generator = env.generator(run.generator, run.options)
        self.document = DocumentContext(run.document_id, language="", source=run.source or "")
        self.size = 0
        self.unchanged = self.pending = self.failed = self.seen = 0
        self.last = -1
        self.batches: int | None = None

    def work(self) -> int | None:
        """How many batches the plan has; None if somebody else made it."""
        run = self.run
        with self.env.store.read() as connection:
            self.size = self._size(connection)
            first = runs.page(connection, run.document_id, run.run_id, self.last, TITLE_CHUNKS)
            new = runs.is_new(connection, run.document_id, run.run_id)
        self.document = replace(self.document, title=title_for(self.generator, first, run.hint or ""))
        while not self._page(new=new):
            pass
        return self.batches

    def _page(self, *, new: bool) -> bool:
        """Plan one page; True when the plan is complete, or somebody else has made it."""
        run = self.run
        plans = [] if new else [self._plan(row) for row in self._read()]
        with self.env.store.write() as connection:
            admission.hold_document(connection, run.document_id)
            status = runs.plannable(connection, run.run_id)
            if not status:
                return True
            if self.seen == 0 and run.total >= PAGE:  # planners of several pages must agree on it
                self.size = runs.fix_batch_size(connection, run.run_id, self.size)
            if new:
                seen = self._number_new(connection)
            else:
                seen = len(plans)
                self._number(plans)
                runs.plan_chunks(connection, run.document_id, run.run_id, plans)
            if seen < PAGE:
                self._complete(connection, paused=status == RunStatus.PAUSED)
        self.seen += seen
        return seen < PAGE

    def _number_new(self, connection: Connection) -> int:
        """Where nothing was generated before there is nothing to compare: no text is read, no row sent."""
        start, run = self.seen, self.run
        seen = runs.number_chunks(connection, run.document_id, run.run_id, self.size, start, start + PAGE)
        self.pending += seen
        return seen

    def _read(self) -> list[Row[Any]]:
        with self.env.store.read() as connection:
            rows = runs.page(connection, self.run.document_id, self.run.run_id, self.last, PAGE)
        self.last = rows[-1].position if rows else self.last
        return rows

    def _plan(self, row: Row[Any]) -> Json:
        if row.state in WITHOUT_METADATA:  # not among the failed chunks that this run was made for
            return {name: getattr(row, name) for name in ("chunk_id", "state", "context")} | {"batch": None}
        there = row.meta is not None and not self.run.force and self._is_wanted(row)
        context = compose_context(self.document.title, row.section_path, row.meta["gist"]) if there else ""
        state = ChunkState.DONE if there else ChunkState.PENDING
        return {"chunk_id": row.chunk_id, "state": state.value, "context": context, "batch": None}

    def _is_wanted(self, row: Row[Any]) -> bool:
        """Whether the metadata that is there is what would be generated now."""
        return bool(row.meta_key == cache_key(chunk_of(row), self.document, self.generator))

    def _number(self, plans: Sequence[Json]) -> None:
        for item in plans:
            if item["state"] == ChunkState.PENDING:
                item["batch"] = self.pending // self.size
                self.pending += 1
            elif item["state"] == ChunkState.DONE:
                self.unchanged += 1
            elif item["state"] != ChunkState.DISCARDED:
                self.failed += 1

    def _complete(self, connection: Connection, *, paused: bool) -> None:
        run, now = self.run, time.time()
        status = RunStatus.PAUSED if paused else RunStatus.RUNNING
        count = -(-self.pending // self.size)
        values = {
            "status": status.value,
            "fingerprint": self.generator.fingerprint,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "batch_size": self.size,
            "batches": count,
            "started_at": now,
        }
        if not runs.planned(connection, run.run_id, values):
            return
        self.batches = count
        runs.set_document(
            connection,
            run.document_id,
            run.run_id,
            {"status": status.value, "title": self.document.title, "updated_at": now},
        )
        queue = queue_of(GENERATE_BATCH, run.lane)
        blank = {"run_id": run.run_id, "state": "open", "queue": queue, "deaths": 0, "redrives": 0}
        runs.insert_batches(connection, [{"number": number, "published_at": now, **blank} for number in range(count)])

    def _size(self, connection: Connection) -> int:
        settings, generator = self.env.settings, self.generator
        measured = _measured_cost(self.env, connection, generator.fingerprint)
        return batch_size(
            measured if measured is not None else getattr(generator, "seconds_per_chunk", UNKNOWN_COST),
            self.run.total,
            seconds=settings.batch_seconds,
            slots=settings.worker_concurrency * settings.worker_count,
            most=settings.max_batch,
            own_cap=getattr(generator, "max_batch", None),
        )


def _measured_cost(env: Environment, connection: Connection, fingerprint: str) -> float | None:
    """A generator's measured seconds a chunk; once known, read again after some seconds."""
    at, cost = env.costs.get(fingerprint, (0.0, None))
    if cost is None or time.monotonic() - at > COST_KEPT:
        cost = facts.get(connection, cost_name(fingerprint))
        env.costs[fingerprint] = (time.monotonic(), cost)
    return cost


def cost_name(fingerprint: str) -> str:
    """The name of the fact that holds a generator's measured seconds a chunk."""
    return f"cost:{fingerprint}"
