"""Two timers in every worker: the sweep's, so that nothing is lost without beat either, and one that replaces children.

For the sweep the parent only sends a message: it forks later, so it must not touch the store.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import bootsteps

from . import names
from .settings import get_settings

logger = logging.getLogger(__name__)


#: Seconds that a child which has ended may hold up the task that it was given.
UNNOTICED = 0.2


class _Timer(bootsteps.StartStopStep):
    """Calls something every few seconds while the consumer is connected."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.entry: Any = None

    def begin(self, consumer: Any) -> Any:
        """The timer's entry."""
        raise NotImplementedError

    def start(self, consumer: Any) -> None:
        """Begin when the consumer is connected (again)."""
        self.stop(consumer)
        self.entry = self.begin(consumer)

    def stop(self, consumer: Any) -> None:
        """End with the connection."""
        if self.entry is not None:
            self.entry.cancel()
            self.entry = None


class SweepTimer(_Timer):
    """Sends `maintenance.sweep` every few seconds; of many workers one does in a period."""

    def begin(self, consumer: Any) -> Any:
        """Every ``sweep_seconds``."""
        seconds = get_settings().sweep_seconds
        return consumer.timer.call_repeatedly(seconds, send_sweep, (consumer.app, seconds))


class ChildTimer(_Timer):
    """Replaces children that have ended (`worker_max_tasks_per_child`) as soon as they can be waited for.

    Celery hears of the end from a pipe, which closes a moment before that; where it is too fast, it looks again after
    up to five seconds, and so long waits the task that it gave to the child meanwhile (celery#9588).
    """

    def begin(self, consumer: Any) -> Any:
        """Every ``UNNOTICED`` seconds, where it is the event loop that looks after the children."""
        return consumer.timer.call_repeatedly(UNNOTICED, consumer.pool.maintain_pool) if consumer.hub else None


def send_sweep(app: Any, seconds: float) -> None:
    """Send a sweep that expires when the next one is due, unless another worker just did."""
    try:
        client = getattr(app.backend, "client", None)
        if client is None or client.set("smart_rag_tasks:sweep-sent", "1", nx=True, px=int(seconds * 900)):
            app.send_task(names.SWEEP, queue=names.queue_of(names.SWEEP), expires=seconds, ignore_result=True)
    except Exception as error:  # whatever Redis says: the next tick tries again, the consumer reconnects by itself
        logger.warning("the sweep could not be sent: %s", type(error).__name__)
