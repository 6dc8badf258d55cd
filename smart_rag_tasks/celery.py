"""The Celery application: ``celery -A smart_rag_tasks worker``."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from billiard.util import _run_after_forkers  # type: ignore[attr-defined]  # the stubs leave it out
from celery import Celery, _state
from kombu.utils.objects import cached_property

from . import (
    logging_signals,
    starting,  # noqa: F401 - its receivers connect at import
    transport,
)
from .backend import BACKENDS
from .bootsteps import ChildTimer, SweepTimer
from .configuration import configuration

transport.install()
os.environ.setdefault("FLOWER_CONF", str(Path(__file__).with_name("flowerconfig.py")))  # else Flower starts wide open


class Application(Celery):
    """Celery with a worker that ends its soft shutdown when its work has ended, and routes to others' queues."""

    amqp_cls = "smart_rag_tasks.destinations:Destinations"

    @cached_property
    def Worker(self) -> Any:
        """The class of the workers."""
        return self.subclass_with_self("smart_rag_tasks.worker:Worker")  # type: ignore[arg-type]  # a name will do


#: Whether this process has no other application: then ours is Celery's current one (`shared_task`, `AsyncResult(id)`).
_alone = not _state._get_active_apps()  # type: ignore[attr-defined]  # the stubs leave it out
app = Application("smart_rag_tasks", task_cls="smart_rag_tasks.base_task:BaseTask", set_as_current=_alone)
if _alone:
    logging_signals.take_over()
app.loader.override_backends = BACKENDS
app.config_from_object(configuration())
app.steps["consumer"].update((SweepTimer, ChildTimer))


def _forget_connections() -> None:
    """In the child of a server that forks after it has spoken to Redis: the sockets are its parent's.

    Celery's own hooks do this where billiard forks, not where ``os.fork`` does; the backend has none.
    """
    _run_after_forkers()
    vars(app).update(_local=threading.local(), _backend_cache=None)


os.register_at_fork(after_in_child=_forget_connections)
