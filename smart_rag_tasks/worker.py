"""The worker's soft shutdown: it ends as soon as no batch is in the hands of this worker's children.

Celery's own sleeps for the whole `worker_soft_shutdown_timeout` whenever a task was active when it began.
"""

from __future__ import annotations

import logging
import time

import psutil
from celery.apps.worker import Worker as CeleryWorker
from celery.worker import state

from .errors import SmartRagError
from .reliability import owners
from .settings import get_settings
from .store import Store, batches

logger = logging.getLogger(__name__)

#: Seconds between two looks; two in a row must find nothing, since a task may be about to take its lease.
POLL = 0.25


class Worker(CeleryWorker):
    """Celery's worker, with that soft shutdown."""

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
