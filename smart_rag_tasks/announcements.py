"""What others hear of a run: PROGRESS while it runs, its result and callbacks when it ends."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from celery.canvas import Signature
from kombu.utils.json import dumps, loads
from sqlalchemy import Row

from . import names, tracing
from .celery import app
from .dispatch import engine
from .models import TERMINAL
from .progress_events import tell_end, tell_progress
from .stages import delivery, planning
from .stages.environment import Environment
from .stages.finish import Ending, finish, result_of
from .transport import BROKER_AWAY

logger = logging.getLogger(__name__)


def tell(env: Environment, run_id: str, stage: str) -> None:
    """Send a PROGRESS update with the store's numbers, unless the run has ended; no failure of it is the task's."""
    try:
        _tell(env, run_id, stage)
    except Exception as error:  # store or Redis is away: the next update has newer numbers anyway
        logger.warning("progress of run %s was not told: %s", run_id, type(error).__name__)


def _tell(env: Environment, run_id: str, stage: str) -> None:
    run = planning.look(env, run_id)
    progress = planning.progress_of(run, stage)
    if progress is None:
        return
    ids = [run_id, *(listener for listener in run.callbacks if isinstance(listener, str))]  # and those that joined
    for task_id in ids:
        app.backend.store_result(task_id, progress, "PROGRESS")
    tell_progress(app, run_id, progress)
    run = planning.look(env, run_id)
    if run.status in TERMINAL:  # it ended meanwhile: a late PROGRESS must not stand over its result
        for task_id in ids:
            engine(run.engine).store_result(task_id, asdict(result_of(run)))


def settle(env: Environment, run_id: str, *, again: bool = False) -> bool:
    """End a run from outside its chord, if it can be ended; True if it has ended."""
    ending = finish(env, run_id, again=again)
    if ending is not None:
        deliver_ending(env, ending)
    return ending is not None


def deliver_ending(env: Environment, ending: Ending) -> None:
    """Results and callbacks at once; sinks, which may be slow, by a task of their own."""
    if ending.made:
        if ending.letters:
            delivery.deliver(env, {"result": send_result, "callback": send_callback}, run_id=ending.result.run_id)
        if env.settings.sink:
            try:
                app.send_task(names.DELIVER_OUTBOX, queue=names.queue_of(names.DELIVER_OUTBOX))
            except BROKER_AWAY as error:  # the run has ended, and the sweep looks after the outbox
                logger.warning("the outbox waits for the sweep: %s", type(error).__name__)


def send_result(env: Environment, entry: Row[Any]) -> None:
    """Give a run's result to its engine's result backend."""
    run = planning.look(env, entry.run_id)
    engine(run.engine).store_result(entry.run_id, entry.payload)
    tell_end(app, entry.run_id, entry.payload)
    tracing.record_run(entry.payload)


def send_callback(env: Environment, entry: Row[Any]) -> None:
    """Publish a callback with the final dict; or let a task id have it whose submission joined the run."""
    result = entry.payload["result"]
    if "task_id" in entry.payload:
        engine(planning.look(env, entry.run_id).engine).store_result(entry.payload["task_id"], result)
        return
    signature = Signature.from_dict(entry.payload["signature"], app=app)
    for name in signature.options.keys() & {"eta", "expires"}:  # the rest is turned back by who gets it
        signature.options[name] = loads(dumps(signature.options[name]))
    signature.apply_async((result,))
