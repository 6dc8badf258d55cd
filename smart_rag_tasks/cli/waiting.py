"""Waiting for work that others do, as long as there is hope."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from ..errors import BrokerUnreachable

if TYPE_CHECKING:
    from ..client import Client
    from .progress import Bars

#: Seconds between two looks at the broker, and for which it may be away.
_LOOK: Final = 5.0
_PATIENCE: Final = 60.0

#: Seconds between two looks for paused documents.
_PAUSES: Final = 1.0


def interrupt(number: int, _frame: object) -> None:
    """A handler for SIGTERM: it ends a command as Ctrl-C does."""
    raise KeyboardInterrupt(number)


def ended_by(asked: KeyboardInterrupt) -> int:
    """The exit code of a command that a signal ended."""
    return 128 + int(asked.args[0] if asked.args else signal.SIGINT)


class BrokerWatch:
    """Called again and again: raises BrokerUnreachable at once if there is no broker at first, later after a minute."""

    def __init__(self) -> None:
        self._next = self._seen = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _LOOK
        from ..celery import app
        from ..monitoring.broker import open_broker

        try:
            with open_broker(app):
                self._seen = now
        except BrokerUnreachable as error:
            if now - self._seen > _PATIENCE:
                raise BrokerUnreachable(f"{error}. Nothing is lost: the same command goes on") from None


class PauseWatch:
    """Called again and again: says once of each document that is paused that it is, and what lets it go on."""

    def __init__(self, client: Client, say: Callable[[str], None]) -> None:
        self._client, self._say = client, say
        self._next = 0.0
        self._said: set[str] = set()

    def __call__(self, run_ids: Sequence[str]) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _PAUSES
        paused = set(self._client.paused(run_ids))
        for document_id in sorted(paused - self._said):
            self._say(f"{document_id} is paused: `smart-rag-tasks resume {document_id}` goes on")
        self._said = paused


def wait_for(client: Client, run_ids: Sequence[str], bars: Bars, check: Callable[[], None]) -> None:
    """Show how far these runs are until all have ended; ``check`` raises when nothing will come of waiting."""
    from .progress import POLL

    pauses, store = PauseWatch(client, bars.say), client.env.store
    while True:
        store.patiently(partial(pauses, run_ids))
        done, total, open_runs = store.patiently(partial(client.progress, run_ids))
        bars.generated(done, total)
        if not open_runs:
            return
        check()
        time.sleep(POLL)
