"""Celery's signals that logging hangs on: set-up, and the ids that stand on every line of a task.

Imported by ``celery`` for every process that uses the app. No receiver here connects to anything.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Mapping
from contextvars import Token
from typing import Any, Final

import click
from celery import current_app, signals
from celery.app import trace, utils

from . import names
from .arguments import ids_in
from .errors import InvalidSettings
from .instrumentation import context, logs
from .settings import get_settings

#: The header that says when a message was sent, in seconds since the epoch: the age of a queue's oldest message.
SENT_AT: Final = "sent_at"

# Celery masks the passwords of the URLs it knows; RedBeat's it would show to `inspect conf`, and Flower to everybody.
_celery_utils: Any = utils
_celery_utils.HIDDEN_SETTINGS = re.compile(_celery_utils.HIDDEN_SETTINGS.pattern + "|REDIS_URL", re.IGNORECASE)


#: Tasks that come every few seconds: that they came and went is told at DEBUG only, what they find as ever.
_PERIODIC: Final = (names.SWEEP, names.EVALUATE_ALERTS)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of Celery's at INFO is about another task, or everything is wanted."""
    task = record.args.get("name") if isinstance(record.args, dict) else None
    return record.levelno != logging.INFO or task not in _PERIODIC or logging.getLogger().isEnabledFor(logging.DEBUG)


def take_over() -> None:
    """Let this process log in our way; not one that another application of Celery's is in."""
    signals.setup_logging.connect(set_up_logging)
    # Celery's own lines: without results (they may hold text), with arguments as `arguments` shows them, and without
    # the id, which stands at the end of the line with the others.
    trace.LOG_RECEIVED = "Task %(name)s received %(args)s"
    trace.LOG_SUCCESS = "Task %(name)s succeeded in %(runtime).3f s"


def set_up_logging(loglevel: int | str | None = None, logfile: str | None = None, **_: Any) -> None:
    """Our handler and format in worker, beat and Flower. ``-l`` and ``-f`` win over the settings."""
    settings = get_settings()
    level = loglevel if loglevel and _was_given("loglevel") else settings.log_level
    try:
        logs.configure(level, kind=settings.log_format, file=logfile or settings.log_file)
    except InvalidSettings as error:
        print(f"Error: {error}", file=sys.__stderr__, flush=True)
        raise SystemExit(error.exit_code) from None
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).addFilter(_is_news)
    if current_app.conf.worker_redirect_stdouts:
        current_app.log.redirect_stdouts(current_app.conf.worker_redirect_stdouts_level)


def _was_given(option: str) -> bool:
    """Whether the option was given on the command line; True where there is none (an embedded worker)."""
    line = click.get_current_context(silent=True)
    return line is None or line.get_parameter_source(option) is not click.core.ParameterSource.DEFAULT


@signals.before_task_publish.connect
def label_message(sender: str = "", body: Any = None, headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Write time and ids into the headers: the worker logs them before, and the monitor without, reading the body."""
    if headers is None or "id" not in headers:  # protocol 1 is not ours
        return
    headers[SENT_AT] = round(time.time(), 3)
    own = ids_in(sender, body[0], body[1]) if isinstance(body, (list, tuple)) else {}
    for key, value in context.clean({**_inherited(own), **own}).items():
        headers.setdefault(key, value)


def _inherited(own: Mapping[str, object]) -> dict[str, str]:
    """What a task's followers share with it: document and run, unless they name another run."""
    around = context.current()
    same = own.get("run_id", around.get("run_id")) == around.get("run_id")
    return {key: around[key] for key in ("document_id", "run_id") if same and key in around}


_tokens: dict[str, Token[Mapping[str, str]]] = {}


@signals.task_prerun.connect
def bind_ids(task_id: str, task: Any, args: Any = None, kwargs: Any = None, **_: Any) -> None:
    """From here to the end of the task its ids stand on every line."""
    headers = {key: task.request.get(key) for key in context.KEYS}
    told = {key: value for key, value in headers.items() if value is not None}
    _tokens[task_id] = context.bind({**told, **ids_in(task.name, args, kwargs), "task_id": task_id})


@signals.task_postrun.connect
def unbind_ids(task_id: str, **_: Any) -> None:
    """The task has ended, with Celery's line about it."""
    token = _tokens.pop(task_id, None)
    if token is not None:
        context.unbind(token)
