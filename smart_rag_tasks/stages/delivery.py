"""The outbox is emptied: results, callbacks and sinks hear of ended runs at least once, normally once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row

from ..errors import words_of
from ..models import Json
from ..reliability import owners
from ..store import outbox
from .environment import Environment
from .lease import is_free

logger = logging.getLogger(__name__)

#: Seconds that a result or callback is held while it is delivered, if its process cannot be seen to have died.
HOLD = 60.0
#: The same for sinks, beyond a task's hard time limit: who lives longer must not write beside the next one.
EXTRA_HOLD = 5.0
#: Seconds of one delivery, well below the soft time limit; what is left, the sweep has delivered.
TURN = 30.0

#: Seconds between two tries: doubled each time, up to the second number.
BACKOFF = (5.0, 600.0)

#: Delivers one entry, or raises: `Unfinished`, or an error that puts it off.
Handler = Callable[[Environment, Row[Any]], None]


class Unfinished(Exception):
    """The entry goes on in another delivery, at once; nothing is wrong."""


def hold(env: Environment) -> float:
    """Seconds that an entry for a sink is held; renewed page by page."""
    return env.settings.time_limit + EXTRA_HOLD


def deliver(
    env: Environment, handlers: Mapping[str, Handler], *, run_id: str | None = None, limit: int = 100
) -> tuple[int, int]:
    """Deliver what is due of the kinds in ``handlers``; returns (delivered, put off)."""
    sent = failed = 0
    begin = time.monotonic()
    more = True
    while more and time.monotonic() - begin < TURN:
        more = False
        with env.store.read() as connection:
            entries = outbox.due(connection, time.time(), limit, run_id)
        for entry in entries:
            if entry.kind not in handlers or time.monotonic() - begin > TURN or not _take(env, entry):
                continue
            if _deliver(env, entry, handlers[entry.kind]):
                sent += 1
                more = more or entry.kind in outbox.FOR_SINKS  # the document's next one is due now
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
    if entry.owner and not is_free(entry.owner, entry.lease_until, time.time(), owners.me()):
        return False
    seconds = hold(env) if entry.kind in outbox.FOR_SINKS else HOLD
    with env.store.write() as connection:
        return outbox.take(connection, entry, owner=owners.me(), until=time.time() + seconds)


def _deliver(env: Environment, entry: Row[Any], handler: Handler) -> bool:
    try:
        handler(env, entry)
    except Unfinished:
        _postpone(env, entry, 0.0, "")
        return False
    except (Exception, SystemExit) as error:  # somebody else's sink or broker: recorded, and tried again
        pause = min(BACKOFF[0] * 2 ** min(entry.attempts, 10), BACKOFF[1])
        words = words_of(error)
        logger.warning("outbox: %s of %s put off for %.0f s: %s", entry.kind, entry.document_id, pause, words)
        _postpone(env, entry, pause, words)
        return False
    with env.store.write() as connection:
        outbox.delivered(connection, entry.id)
    return True


def _postpone(env: Environment, entry: Row[Any], pause: float, error: str) -> None:
    with env.store.write() as connection:
        outbox.postpone(connection, entry.id, due_at=time.time() + pause, error=error)
