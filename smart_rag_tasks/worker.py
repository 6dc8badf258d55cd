"""The worker: what it tells of itself, and its soft shutdown.

That begins between two events, and ends when the children have no batch in their hands. Celery's own begins in the
signal handler, wherever that finds the event loop: half a result read from a child, and the worker waits for the
other half for ever. And it sleeps for the whole `worker_soft_shutdown_timeout`.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
from celery.apps.worker import Worker as CeleryWorker
from celery.worker import WorkController, state

from .errors import SmartRagError
from .reliability import owners
from .settings import get_settings
from .store import Store, batches
from .worker_memory import worker_memory

logger = logging.getLogger(__name__)

#: Seconds between two looks; two in a row must find nothing, since a task may be about to take its lease.
POLL = 0.25

#: Seconds that a signal waits for the event loop; after that (the broker does not answer) it is served at once.
PATIENCE = 1.0


class Worker(CeleryWorker):
    """Celery's worker, with that soft shutdown, and its memory in its statistics."""

    hub: Any = None

    def install_platform_tweaks(self, worker: WorkController) -> None:
        """Celery's signal handlers; those that end the worker leave it to the event loop."""
        super().install_platform_tweaks(worker)
        for number in (signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, self._between_events(signal.getsignal(number)))

    def stats(self) -> dict[str, Any]:
        """Celery's answer to `inspect stats`, with the worker's memory."""
        return {**super().stats(), "memory": worker_memory()}

    def _between_events(self, handler: Any) -> Callable[[int, Any], None]:
        began = threading.Event()

        def begin(number: int, frame: Any = None) -> None:
            if not began.is_set():
                began.set()
                handler(number, frame)

        def ask(hub: Any, number: int) -> None:  # in a thread: the loop's lock may be held where the signal came
            hub.call_soon(begin, number)
            time.sleep(PATIENCE)
            if not began.is_set():
                os.kill(os.getpid(), number)

        asked = False

        def on_signal(number: int, frame: Any) -> None:
            nonlocal asked
            if asked or self.hub is None:
                begin(number, frame)
                return
            asked = True
            threading.Thread(target=ask, args=(self.hub, number), name="shutdown", daemon=True).start()

        return on_signal

    def wait_for_soft_shutdown(self) -> None:  # type: ignore[override]  # the stubs say bool; Celery returns nothing
        """Let the children finish their batches, for the time that the setting gives."""
        timeout = float(self.app.conf.worker_soft_shutdown_timeout)
        if timeout <= 0 or not tuple(state.active_requests):
            return
        logger.warning("Soft shutdown: running batches have %s seconds to finish", timeout)
        store = Store(get_settings().store_url)  # this process forks no more
        deadline, quiet = time.monotonic() + timeout, 0
        while time.monotonic() < deadline and quiet < 2:
            quiet = 0 if _children_hold_leases(store) else quiet + 1
            time.sleep(POLL)
        store.close()


def _children_hold_leases(store: Store) -> bool:
    children = [owners.identify(child.pid) for child in psutil.Process().children()]
    try:
        with store.read() as connection:
            return batches.any_owned_by(connection, [owner for owner in children if owner])
    except SmartRagError:
        return True  # the store does not answer: batches may be waiting for it with what they generated
