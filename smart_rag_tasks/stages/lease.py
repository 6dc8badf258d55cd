"""Holding a batch's lease while its work runs: taken over at once from the dead, renewed by a thread.

One renewing thread a process, with a connection of its own; a lease is never renewed past the task's hard limit,
so that a hanging chunk cannot keep its batch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from ..errors import SmartRagError, StoreUnavailable
from ..models import TERMINAL, RunStatus
from ..reliability import owners
from ..store import batches
from .environment import Environment

logger = logging.getLogger(__name__)

#: Seconds until a renewal that the store did not take is tried again: it must come before anybody takes the lease over.
SOON = 0.2

#: Seconds for which a lease that ended is left to an owner that certainly lives: it may be waiting for the store, too.
GRACE = 3.0

#: Leases of a run's steps stand beside those of its batches, under these numbers.
PLANNING = -1
ENDING = -2


@dataclass(slots=True)
class Lease:
    """A batch that this process works on."""

    run_id: str
    number: int
    document_id: str
    #: The batch's row with what its work needs of run and document (see ``store.batches.look``).
    run: Row[Any]
    owner: str
    #: Whether an earlier owner died on this batch: work chunk by chunk.
    careful: bool
    #: Owners that died on it.
    deaths: int = 0
    #: Set when the run was cancelled or superseded, or somebody took the lease: begin nothing new.
    lost: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a batch was not taken."""

    #: ``gone`` (finished, cancelled, superseded), ``done``, ``held``, ``paused``, ``not due``.
    reason: str


def take(env: Environment, run_id: str, number: int) -> Lease | Refusal:
    """The lease of a batch, or why not. A queued message of a cancelled run costs one SELECT."""
    now, me = time.time(), owners.me()
    with env.store.read() as connection:
        seen = batches.look(connection, run_id, number)
    if seen is None or seen.fence != run_id or seen.status in TERMINAL:
        return Refusal("gone")
    if seen.state == "done":
        return Refusal("done")
    if seen.status == RunStatus.PAUSED:
        return Refusal("paused")
    if seen.due_at is not None and seen.due_at > now:
        return Refusal("not due")
    if seen.owner and not is_free(seen.owner, seen.lease_until, now, me):
        return Refusal("held")
    died = bool(seen.owner) and seen.owner != me  # a try of our own that broke off is no death
    with env.store.write() as connection:
        until = now + env.settings.lease_seconds
        if not batches.take_lease(connection, seen, owner=me, until=until, now=now, died=died):
            return Refusal("held")
    return Lease(run_id, number, seen.document_id, seen, me, careful=died or seen.deaths > 0)


def is_free(owner: str, lease_until: float | None, now: float, me: str = "") -> bool:
    """Whether a lease may be taken: it ended, its owner died, or it is this process's own from a try that broke off."""
    if lease_until is None or owner == me or owners.is_dead(owner):
        return True
    return lease_until + (GRACE if owners.is_here(owner) else 0.0) < now


def take_step(env: Environment, run_id: str, number: int, *, deaths: int = 0) -> Lease | Refusal:
    """The lease of a run's planning or end, for a run that may have killed a process there (``deaths``: how often)."""
    now, me = time.time(), owners.me()
    with env.store.write() as connection:
        batches.insert_step(env.store, connection, run_id, number, deaths)
        seen = batches.look(connection, run_id, number)
        if seen is None or seen.fence != run_id:
            return Refusal("gone")
        if seen.owner and not is_free(seen.owner, seen.lease_until, now, me):
            return Refusal("held")
        died = bool(seen.owner) and seen.owner != me
        until = now + env.settings.lease_seconds
        if not batches.take_lease(connection, seen, owner=me, until=until, now=now, died=died):
            return Refusal("held")
    return Lease(run_id, number, seen.document_id, seen, me, careful=True, deaths=seen.deaths + died)


def give_back(env: Environment, lease: Lease) -> None:
    """Let others have it; if the store does not answer, the lease ends by itself."""
    try:
        with env.store.write() as connection:
            batches.give_back(connection, lease.run_id, lease.number, owner=lease.owner, due_at=None)
    except StoreUnavailable:
        logger.warning("a lease of run %s was not given back; it ends by itself", lease.run_id)


@contextmanager
def renewing(env: Environment, lease: Lease) -> Iterator[None]:
    """Renew the lease while the block runs."""
    _renewer.hold(env, lease)
    try:
        yield
    finally:
        _renewer.release()


class _Renewer:
    """The thread that renews; made at first use, so always after the fork."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._held: tuple[Environment, Lease, float] | None = None
        self._thread: threading.Thread | None = None

    def hold(self, env: Environment, lease: Lease) -> None:
        with self._condition:
            self._held = (env, lease, time.monotonic() + env.settings.time_limit)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="lease-renewal", daemon=True)
                self._thread.start()

    def release(self) -> None:
        with self._condition:
            self._held = None

    def _run(self) -> None:
        renewed = True
        while True:
            held = self._held
            time.sleep((held[0].settings.lease_renewal if renewed else SOON) if held else 1.0)
            if held is not None and held is self._held:
                renewed = self._renew(*held)

    def _renew(self, env: Environment, lease: Lease, limit: float) -> bool:
        """False if the store did not answer."""
        if time.monotonic() > limit:
            return True
        until = time.time() + env.settings.lease_seconds
        try:
            with env.store.write() as connection:
                if not batches.renew_lease(connection, lease.run_id, lease.number, owner=lease.owner, until=until):
                    lease.lost.set()
        except SmartRagError:
            ids = {"document_id": lease.document_id, "run_id": lease.run_id, "batch": lease.number}
            logger.warning("the lease could not be renewed; trying again", exc_info=True, extra=ids)
            return False
        return True


_renewer = _Renewer()
