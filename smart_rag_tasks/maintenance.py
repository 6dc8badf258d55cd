"""The maintenance tasks: envelopes around `stages.maintenance`. Beat sends them; the sweep comes from workers too."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task

from . import announcements, names
from .celery import app
from .dispatch import engine
from .errors import StoreUnavailable
from .models import Json
from .stages import maintenance
from .stages.environment import environment
from .transport import broker_client

logger = logging.getLogger(__name__)

#: What a sweep of Celery's runs looks after.
ENGINE = "celery"


@app.task(bind=True, name=names.SWEEP, ignore_result=True)
def sweep(self: Task[Any, Any]) -> Json:
    """Send again what was lost, end what is settled; one sweep at a time."""
    env = environment()
    with broker_client(app) as client:
        key, hold = "smart_rag_tasks:sweeping", int(env.settings.sweep_seconds * 800)
        if not client.set(key, "1", nx=True, px=hold):
            return {}

        def queue_length(queue: str) -> int:
            return int(client.llen(queue))

        try:
            found = maintenance.sweep(env, ENGINE, queue_length)
        except StoreUnavailable as error:
            logger.warning("sweep: %s", error)
            return {}
    return act(found)


def act(found: maintenance.Sweep) -> Json:
    """Do what a sweep found to do; returns counts."""
    env = environment()
    for item in found.redrives:
        if item.numbers is None:
            engine(ENGINE).publish(item.document_id, item.run_id, item.lane)
        else:
            engine(ENGINE).publish_batches(item.document_id, item.run_id, item.numbers, item.lane)
        logger.info("re-driven: %s, run %s, batches %s", item.document_id, item.run_id, item.numbers)
    for run_id in found.settled:
        announcements.settle(env, run_id)
    if found.outbox:
        app.send_task(names.DELIVER_OUTBOX, queue=names.queue_of(names.DELIVER_OUTBOX))
    return {"redriven": len(found.redrives), "settled": len(found.settled), "outbox": found.outbox}
