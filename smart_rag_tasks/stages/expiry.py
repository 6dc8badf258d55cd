"""What is forgotten after a while: old runs, deliveries that never succeeded, what was left of ended runs.

Documents and chunks never expire, and a document's newest run stays with it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from ..store import expired
from .environment import Environment
from .files import INGEST_DEATHS

logger = logging.getLogger(__name__)

#: Rows deleted in one transaction, so that no other writer waits long.
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Expired:
    """How many rows went."""

    runs: int
    outbox: int
    batches: int
    files: int


def expire(env: Environment) -> Expired:
    """Forget what is older than ``run_expires``, and what belongs to nothing any more."""
    before = time.time() - env.settings.run_expires
    found = Expired(
        runs=_in_pages(env, lambda connection: expired.drop_runs(connection, before, PAGE)),
        outbox=_in_pages(env, lambda connection: expired.drop_outbox(connection, before, PAGE)),
        batches=_in_pages(env, lambda connection: expired.drop_orphan_batches(connection, PAGE)),
        files=_in_pages(env, lambda connection: expired.drop_unwatched_files(connection, PAGE)),
    )
    with env.store.write() as connection:
        expired.drop_facts(connection, INGEST_DEATHS, before)
    if found.outbox:
        logger.warning("%d deliveries were given up: they failed for %d s", found.outbox, env.settings.run_expires)
    return found


def _in_pages(env: Environment, drop: Callable[[Connection], int]) -> int:
    total = 0
    while True:
        with env.store.write() as connection:
            count = drop(connection)
        total += count
        if count < PAGE:
            return total
