"""How our own launchers start servers and workers: the same processes, settings and signals as Procfile and compose."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from ..names import QUEUES
from ..processes import Process
from ..redis_server import shared_server
from ..settings import Settings, get_settings

#: Seconds that a process gets beyond the soft shutdown.
EXTRA_GRACE = 5.0

#: Seconds of soft shutdown under `run`.
QUICK_SHUTDOWN = 5


def set_environment(**values: object) -> Settings:
    """Put options into the environment, where child processes find them too, and read the settings again."""
    for name, value in values.items():
        if value is not None:
            os.environ[name] = str(value)
    get_settings.cache_clear()
    return get_settings()


#: As ``python -m celery``, but what lies in the current folder (a generator, somebody's celery.py) comes last.
_CELERY = "import os, sys; sys.path.append(os.getcwd()); from celery.__main__ import main; main()"


def celery_argv(*words: str) -> list[str]:
    """``celery -A smart_rag_tasks …`` with this Python."""
    return [sys.executable, "-P", "-c", _CELERY, "-A", "smart_rag_tasks", *words]


def worker(
    settings: Settings,
    number: int = 1,
    *,
    name: str = "",
    queues: tuple[str, ...] = QUEUES,
    concurrency: int | None = None,
) -> Process:
    """A worker process; REMAP_SIGTERM must be in its environment from the start, set in Python it is too late."""
    name = name or f"worker{number}"
    words = ("--loglevel", settings.log_level, "--queues", ",".join(queues), "--hostname", f"{name}@%h")
    slots = str(concurrency or settings.worker_concurrency)
    return Process(
        name,
        celery_argv("--quiet", "worker", *words, "--concurrency", slots, "--without-gossip", "--without-mingle"),
        env={"REMAP_SIGTERM": "SIGQUIT"},
        grace=settings.soft_shutdown + EXTRA_GRACE,
    )


def quick_shutdown(settings: Settings) -> Settings:
    """Somebody waits at a terminal: a worker that is told to stop lets its tasks run on for a moment only."""
    if "SMART_RAG_SOFT_SHUTDOWN" in os.environ:
        return settings
    return set_environment(SMART_RAG_SOFT_SHUTDOWN=QUICK_SHUTDOWN)


def check(settings: Settings) -> None:
    """Raise InvalidSettings for what would end a process as soon as it starts, or an alert when it is needed."""
    from ..instrumentation import logs
    from ..monitoring import alerts
    from ..stages.environment import plugged_in

    with redirect_stdout(sys.stderr):  # somebody else's module may print
        plugged_in(settings)
    alerts.check(settings)
    logs.handler_for(settings.log_file).close()


@contextmanager
def redis_for(settings: Settings) -> Iterator[Settings]:
    """The Redis that REDIS_URL names; without it an embedded server below the home folder, shared if it runs."""
    if settings.names_redis:
        yield settings
        return
    with shared_server(settings.redis_home) as url:
        settings = set_environment(REDIS_URL=url)
        if loaded := sys.modules.get("smart_rag_tasks.celery"):  # by `celery -A smart_rag_tasks rag`
            loaded.app.conf.update(broker_url=settings.broker_url, result_backend=settings.result_backend)
        yield settings
