"""Progress as Celery events: Flower and other listeners follow a run without asking the store."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from celery import Celery, current_task

logger = logging.getLogger(__name__)


def tell_progress(app: Celery, run_id: str, progress: Mapping[str, Any]) -> None:
    """Under the run's id, in the state PROGRESS."""
    _send(app, "task-progress", run_id, progress=dict(progress))


def tell_end(app: Celery, run_id: str, result: Mapping[str, Any]) -> None:
    """For a run that ended outside its own task, whose event would otherwise never come."""
    _send(app, "task-succeeded", run_id, result=repr(dict(result)), runtime=result.get("seconds"))


def _send(app: Celery, kind: str, run_id: str, **fields: Any) -> None:
    """From within a task, under its worker's name; elsewhere nothing is sent: Flower would take us for a worker."""
    host = current_task.request.hostname if current_task else None
    if not (host and app.conf.worker_send_task_events):
        return
    try:
        events: Any = app.events
        with events.default_dispatcher(hostname=host) as dispatcher:
            dispatcher.send(kind, uuid=run_id, **fields)
    except Exception as error:  # whatever the broker says: an event is a courtesy
        logger.debug("an event was not sent: %s", type(error).__name__)
