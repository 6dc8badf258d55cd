"""The outbox is emptied: results, callbacks and sinks hear of ended runs at least once, normally once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row

from ..models import Json
from ..reliability import owners
from ..store import outbox
from .environment import Environment

logger = logging.getLogger(__name__)

#: Seconds that an entry is held while it is delivered; a sink that is slower may get it twice.
HOLD = 60.0

#: Seconds between two tries: doubled each time, up to the second number.
BACKOFF = (5.0, 600.0)

#: Delivers one entry, or raises.
Handler = Callable[[Environment, Row[Any]], None]


def deliver(
    env: Environment, handlers: Mapping[str, Handler], *, run_id: str | None = None, limit: int = 100
) -> tuple[int, int]:
    """Deliver what is due of the kinds in ``handlers``; returns (delivered, put off)."""
    sent = failed = 0
    with env.store.read() as connection:
        entries = outbox.due(connection, time.time(), limit, run_id)
    for entry in entries:
        if entry.kind not in handlers or not _take(env, entry):
            continue
        if _deliver(env, entry, handlers[entry.kind]):
            sent += 1
        else:
            failed += 1
    return sent, failed


def deliver_later(env: Environment, result: Json) -> None:
    """Put a run's result into the outbox, for the sweep to deliver."""
    now = time.time()
    address = {"document_id": result["document_id"], "run_id": result["run_id"]}
    with env.store.write() as connection:
        outbox.put(connection, [{"kind": "result", "payload": result, **address}], now)


def _take(env: Environment, entry: Row[Any]) -> bool:
    with env.store.write() as connection:
        return outbox.take(connection, entry, owner=owners.me(), until=time.time() + HOLD)


def _deliver(env: Environment, entry: Row[Any], handler: Handler) -> bool:
    try:
        handler(env, entry)
    except Exception as error:  # somebody else's sink or broker: recorded, and tried again
        pause = min(BACKOFF[0] * 2**entry.attempts, BACKOFF[1])
        logger.warning("outbox: %s of %s put off for %.0f s: %r", entry.kind, entry.document_id, pause, error)
        with env.store.write() as connection:
            outbox.postpone(connection, entry.id, due_at=time.time() + pause, error=f"{type(error).__name__}: {error}")
        return False
    with env.store.write() as connection:
        outbox.delivered(connection, entry.id)
    return True
