"""The maintenance tasks: envelopes around the stages. Beat sends them; the sweep comes from the workers too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

from celery import Task

from . import announcements, dead_list, names
from .celery import app
from .dispatch import engine, submit
from .errors import StoreUnavailable, UnknownDocument
from .models import Json
from .stages import control, expiry, maintenance, regeneration
from .stages import rescan as watching
from .stages.environment import Environment, environment
from .stages.exclusive import exclusive
from .transport import BROKER_AWAY, batch_publishing, broker_client, is_redis, key_prefix, queue_lengths

logger = logging.getLogger(__name__)

#: What a sweep of Celery's runs looks after.
ENGINE = "celery"

#: Documents that one `regenerate_stale` submits; the next one goes on when they are done.
REGENERATED_AT_ONCE = 200


@app.task(bind=True, name=names.SWEEP, ignore_result=True)
def sweep(self: Task[Any, Any]) -> Json:
    """Send again what was lost, end what is settled; of all that are sent in a period one does."""
    env = environment()
    try:
        with _only_sweep(env) as mine, queue_lengths(app) as queue_length:
            found = maintenance.sweep(env, ENGINE, queue_length) if mine else None
    except StoreUnavailable as error:
        logger.warning("sweep: %s", error)
        return {}
    return {} if found is None else act(found)


@contextmanager
def _only_sweep(env: Environment) -> Iterator[bool]:
    """True for one sweep in a period: by a key in Redis, which costs the store nothing; on RabbitMQ by the store."""
    if not is_redis(app):
        with exclusive(env, "sweep", env.settings.sweep_seconds) as mine:
            yield mine
        return
    with broker_client(app) as client:
        key = f"{key_prefix(app)}smart_rag_tasks:sweeping"
        yield bool(client.set(key, "1", nx=True, px=int(env.settings.sweep_seconds * 800)))


def act(found: maintenance.Sweep) -> Json:
    """Do what a sweep found to do; returns counts."""
    env = environment()
    for item in found.redrives:
        with maintenance.alone(f"run {item.run_id}", *BROKER_AWAY):
            if item.numbers is None:
                engine(ENGINE).publish(item.document_id, item.run_id, item.lane)
            else:
                engine(ENGINE).publish_batches(item.document_id, item.run_id, item.numbers, item.lane)
            logger.info("re-driven: %s, run %s, batches %s", item.document_id, item.run_id, item.numbers)
    for run_id in found.settled:
        with maintenance.alone(f"run {run_id}"):
            announcements.settle(env, run_id, again=True)
    if found.outbox:
        app.send_task(names.DELIVER_OUTBOX, queue=names.queue_of(names.DELIVER_OUTBOX))
    return {"redriven": len(found.redrives), "settled": len(found.settled), "outbox": found.outbox}


def time_held() -> float:
    """Seconds after which periodic work is certainly over: its hard time limit has killed it."""
    return environment().settings.time_limit + 5.0


@app.task(bind=True, name=names.RESCAN, ignore_result=True)
def rescan(self: Task[Any, Any], folder: str) -> Json:
    """Look for new, changed and removed files in a watched folder; one scan of it at a time."""
    env = environment()
    with exclusive(env, f"rescan:{folder}", time_held()) as mine:
        if not mine:
            return {}
        intake = names.queue_of(names.INGEST_FILE)
        with queue_lengths(app) as queue_length:
            scan = watching.rescan(env, folder, lambda: queue_length(intake))
        _act_on(env, scan, intake)
    if scan.problem:
        logger.warning("re-scan: %s", scan.problem)
    return {"ingested": len(scan.ingest), "retried": len(scan.retry), "deleted": len(scan.delete)}


def _act_on(env: Environment, scan: watching.Scan, intake: str) -> None:
    with batch_publishing(app):
        for path in scan.ingest:
            app.send_task(names.INGEST_FILE, args=[path], queue=intake, ignore_result=True)  # the store has it
    for document_id, chunks in scan.retry.items():
        with suppress(UnknownDocument):  # deleted since the scan
            submit(env.store, env.settings, document_id, only=chunks)
    for document_id in scan.delete:
        with suppress(UnknownDocument):
            control.delete(env, document_id)


@app.task(bind=True, name=names.REGENERATE_STALE, ignore_result=True)
def regenerate_stale(self: Task[Any, Any]) -> int:
    """Generate again what another generator or version made, some documents at a time; returns how many."""
    env = environment()
    with exclusive(env, "regenerate-stale", time_held()) as mine:
        stale = regeneration.stale_documents(env, REGENERATED_AT_ONCE) if mine else []
        for document_id in stale:
            with suppress(UnknownDocument):
                submit(env.store, env.settings, document_id)
    return len(stale)


@app.task(bind=True, name=names.EXPIRE, ignore_result=True)
def expire(self: Task[Any, Any]) -> Json:
    """Forget old runs, hopeless deliveries, dead messages and what belongs to nothing any more."""
    env = environment()
    with exclusive(env, "expire", time_held()) as mine:
        if not mine:
            return {}
        gone = asdict(expiry.expire(env))
        if is_redis(app):
            with broker_client(app) as client:
                gone["messages"] = dead_list.expire(client, key=key_prefix(app) + dead_list.DEAD_LIST)
    return gone
