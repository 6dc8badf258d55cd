"""What refuses to start: a worker or beat whose settings would break a guarantee ends with one line and exit code 2."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from celery import signals

from .errors import InvalidSettings
from .guarantees import Broken, WorkerFacts, broken_beat, broken_settings
from .settings import misspelt

logger = logging.getLogger(__name__)

#: Signals come from every Celery application of the process; only ours is checked.
_MAIN = "smart_rag_tasks"


@signals.celeryd_init.connect
def check_command(instance: Any = None, options: Mapping[str, Any] | None = None, **_: Any) -> None:
    """Refuse ``celery worker`` by its configuration and its command line, before Celery does anything."""
    given = options or {}
    pool = given.get("pool_cls") or instance.app.conf.worker_pool
    _check(instance.app, WorkerFacts(pool, given.get("time_limit"), given.get("prefetch_multiplier")))


@signals.worker_init.connect
def check_worker(sender: Any = None, **_: Any) -> None:
    """Refuse a worker that was made in another way, by what it is about to do."""
    _check(sender.app, WorkerFacts(sender.pool_cls, sender.time_limit, sender.prefetch_multiplier))


@signals.celeryd_after_setup.connect
def warn_of_misspelt_settings(instance: Any = None, **_: Any) -> None:
    """They are not refused: a host application may have names of its own. Only now are there logs."""
    if instance.app.main == _MAIN and (slip := misspelt()):
        logger.warning(slip)


def _check(app: Any, facts: WorkerFacts) -> None:
    if app.main == _MAIN:
        refuse("the worker", broken_settings(app.conf, task_limits=hard_limits(app), worker=facts))


@signals.beat_init.connect
def check_beat(sender: Any = None, **_: Any) -> None:
    """Refuse a beat whose scheduler is another one (ours checks itself before it does anything)."""
    if sender.app.main == _MAIN:
        refuse("beat", [*broken_beat(sender.app.conf, type(sender.scheduler)), *broken_settings(sender.app.conf)])


def hard_limits(app: Any) -> dict[str, float]:
    """Hard time limits that tasks have for themselves, by name, in seconds."""
    return {name: task.time_limit for name, task in app.tasks.items() if task.time_limit}


def refuse(what: str, found: Sequence[Broken]) -> None:
    """End the process, if there is anything to say, with all of it in one line."""
    if found:
        reasons = " ".join(f"{item}." for item in found)
        print(f"Error: {what} does not start. {reasons}", file=sys.__stderr__, flush=True)
        raise SystemExit(InvalidSettings.exit_code)
