"""The sweep: finds what has no living owner and no message, and says what to send again.

What is merely queued is left alone, however long the queue: a message counts as lost when its queue is empty, or
when one that was published after it has been begun for a while (queues are first in, first out). Taking a living
message for a lost one costs one message more, which finds the lease held or the batch done.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from ..errors import StoreUnavailable
from ..models import Lane
from ..names import GENERATE_BATCH, PROCESS_DOCUMENT_PIPELINE, queue_of
from ..store import lost, tallies
from .calling import SOFT_LIMIT
from .environment import Environment
from .lease import is_free

logger = logging.getLogger(__name__)

#: Messages sent again in one sweep, of each kind; the next sweep goes on.
LIMIT = 5000

#: Seconds that a run whose batches are all done is left to its chord.
CHORD_GRACE = 3.0


@dataclass(frozen=True, slots=True)
class Redrive:
    """Messages to send again."""

    document_id: str
    run_id: str
    lane: str
    #: Batches, or None: the run's entry message.
    numbers: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found."""

    redrives: tuple[Redrive, ...]
    #: Runs with all chunks settled that nobody has ended.
    settled: tuple[str, ...]
    #: Whether the outbox holds something that nobody delivers.
    outbox: bool


@contextmanager
def alone(what: str, *passing: type[Exception]) -> Iterator[None]:
    """An error in the block is logged and costs ``what`` its turn, nothing else.

    Not one that the rest would meet, too: ``passing``, a store that does not answer, the time limit.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (StoreUnavailable, *passing)) or type(error).__name__ == SOFT_LIMIT:
            raise
        logger.exception("sweep: %s has to wait for the next one", what)


def sweep(env: Environment, engine: str, queue_length: Callable[[str], int]) -> Sweep:
    """Look at the runs of one engine. ``queue_length`` gives the messages that wait in a queue."""
    now = time.time()
    with env.store.read() as connection:
        rows = _lost_batches(env, connection, engine, queue_length, now)
        entries = _lost_entries(env, connection, engine, queue_length, now)
        settled = tuple(lost.all_settled(connection, engine, now - CHORD_GRACE, 100))
        outbox = lost.outbox_waits(connection, now - CHORD_GRACE)
    redrives = (*_grouped(rows), *(Redrive(row.document_id, row.run_id, row.lane, None) for row in entries))
    noted = tuple(_noted(env, redrives, now))
    with alone("the adding up of counts"):
        add_up(env)
    return Sweep(noted, settled, outbox)


def _lost_batches(
    env: Environment, connection: Connection, engine: str, queue_length: Callable[[str], int], now: float
) -> list[Row[Any]]:
    rows = [row for row in lost.leased(connection, engine) if is_free(row.owner, row.lease_until, now)]
    rows += lost.due(connection, engine, now, LIMIT)
    patience = env.settings.lost_after
    for lane in Lane:
        queue = queue_of(GENERATE_BATCH, lane)
        before = now if queue_length(queue) == 0 else _begun(connection, engine, queue, lane, now - patience)
        rows += lost.overdue_batches(connection, engine, queue, before=before, now=now, patience=patience, limit=LIMIT)
    return rows


def _begun(connection: Connection, engine: str, queue: str, lane: str, before: float) -> float:
    """What was published to the queue before the time that this gives has been taken from it: first in, first out."""
    return max(
        lost.newest_started(connection, queue, before, engine), lost.newest_done(connection, engine, lane, before)
    )


def _lost_entries(
    env: Environment, connection: Connection, engine: str, queue_length: Callable[[str], int], now: float
) -> list[Row[Any]]:
    rows: list[Row[Any]] = []
    patience = env.settings.lost_after
    for lane in Lane:
        empty = queue_length(queue_of(PROCESS_DOCUMENT_PIPELINE, lane)) == 0
        before = now if empty else lost.newest_planned(connection, engine, lane, now - patience)
        rows += lost.overdue_runs(connection, engine, lane, before=before, now=now, patience=patience, limit=LIMIT)
    return rows


def _grouped(rows: Iterable[Row[Any]]) -> list[Redrive]:
    numbers: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for row in rows:
        numbers[row.document_id, row.run_id, row.lane].append(row.number)
    return [Redrive(*key, tuple(sorted(set(found)))) for key, found in numbers.items()]


def _noted(env: Environment, redrives: Iterable[Redrive], now: float) -> Iterator[Redrive]:
    """Before anything is sent: if this process dies now, the next sweep waits a little longer and sends again."""
    for item in redrives:
        with alone(f"run {item.run_id}"):
            with env.store.write() as connection:
                if item.numbers is None:
                    lost.republished_run(connection, item.run_id, now)
                else:
                    lost.republished_batches(connection, item.run_id, item.numbers, now)
            yield item


def add_up(env: Environment) -> None:
    """Keep the list of changes that triggers noted short, also where nobody reads the counts."""
    with env.store.read() as connection:
        waiting = tallies.waiting(connection)
    if waiting:
        with env.store.write() as connection:
            tallies.fold(env.store, connection)
