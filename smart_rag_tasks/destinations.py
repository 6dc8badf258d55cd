"""Where a message goes: our tasks to our queues, another application's to whatever queue its signature names."""

from __future__ import annotations

from typing import Any

from celery.app.amqp import AMQP
from celery.app.routes import Router
from kombu import Queue

from . import names


class _TolerantRouter(Router):
    """Celery's router; an unknown queue is an error for our own tasks only (``task_create_missing_queues``)."""

    queues: dict[str, Any]

    def route(self, options: Any, name: str, *more: Any, **details: Any) -> Any:
        """The options with their destination; a queue that is not ours is made known for this one message."""
        queue = options.get("queue")
        if isinstance(queue, str) and queue not in self.queues and not names.is_ours(name):
            options = {**options, "queue": Queue(queue, routing_key=queue)}
        return super().route(options, name, *more, **details)


class Destinations(AMQP):
    """Celery's AMQP functions, with the tolerant router."""

    def Router(self, queues: Any = None, create_missing: bool | None = None) -> Any:
        """A router of the application's queues."""
        strict: Any = super().Router(queues, create_missing)
        return _TolerantRouter(strict.routes, strict.queues, strict.create_missing, app=self.app)
