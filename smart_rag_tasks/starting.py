"""What refuses to start: a worker or beat whose settings would break a guarantee ends with one line and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from celery import signals

from .errors import InvalidSettings
from .guarantees import Broken, WorkerFacts, broken_beat, broken_settings

#: Signals come from every Celery application of the process; only ours is checked.
_MAIN = "smart_rag_tasks"


@signals.worker_init.connect
def check_worker(sender: Any = None, **_: Any) -> None:
    """Refuse a worker, its command line included."""
    if sender.app.main == _MAIN:
        facts = WorkerFacts(sender.pool_cls, sender.time_limit, sender.prefetch_multiplier)
        refuse("the worker", broken_settings(sender.app.conf, task_limits=hard_limits(sender.app), worker=facts))


@signals.beat_init.connect
def check_beat(sender: Any = None, **_: Any) -> None:
    """Refuse a beat whose scheduler is another one (ours checks itself before it does anything)."""
    if sender.app.main == _MAIN:
        refuse("beat", broken_beat(sender.app.conf, type(sender.scheduler)))


def hard_limits(app: Any) -> dict[str, float]:
    """Hard time limits that tasks have for themselves, by name, in seconds."""
    return {name: task.time_limit for name, task in app.tasks.items() if task.time_limit}


def refuse(what: str, found: Sequence[Broken]) -> None:
    """End the process, if there is anything to say, with all of it in one line."""
    if found:
        reasons = "; ".join(str(item) for item in found)
        print(f"Error: {what} does not start. {reasons}", file=sys.__stderr__, flush=True)
        raise SystemExit(InvalidSettings.exit_code)
