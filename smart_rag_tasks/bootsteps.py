"""The sweep's timer in every worker: without beat, nothing is lost either.

The parent only sends a message: it forks later, so it must not touch the store.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import bootsteps

from . import names
from .settings import get_settings

logger = logging.getLogger(__name__)


class SweepTimer(bootsteps.StartStopStep):
    """Sends `maintenance.sweep` every few seconds; of many workers one does in a period."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.entry: Any = None

    def start(self, consumer: Any) -> None:
        """Begin when the consumer is connected (again)."""
        self.stop(consumer)
        seconds = get_settings().sweep_seconds
        self.entry = consumer.timer.call_repeatedly(seconds, send_sweep, (consumer.app, seconds))

    def stop(self, consumer: Any) -> None:
        """End with the connection."""
        if self.entry is not None:
            self.entry.cancel()
            self.entry = None


def send_sweep(app: Any, seconds: float) -> None:
    """Send a sweep that expires when the next one is due, unless another worker just did."""
    try:
        client = getattr(app.backend, "client", None)
        if client is None or client.set("smart_rag_tasks:sweep-sent", "1", nx=True, px=int(seconds * 900)):
            app.send_task(names.SWEEP, queue=names.queue_of(names.SWEEP), expires=seconds, ignore_result=True)
    except Exception as error:  # whatever Redis says: the next tick tries again, the consumer reconnects by itself
        logger.warning("the sweep could not be sent: %s", type(error).__name__)
