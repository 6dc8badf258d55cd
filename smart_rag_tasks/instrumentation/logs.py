"""Setting up logging in a process: one handler on the root logger, in our format."""

from __future__ import annotations

import logging
import sys
from logging.handlers import WatchedFileHandler
from pathlib import Path

from ..errors import InvalidSettings
from .formatting import formatter

#: Libraries that tell at INFO what only their own developers want to know.
_TALKATIVE = ("alembic", "httpx", "httpcore", "openai", "urllib3", "rq.worker")


def handler_for(file: str) -> logging.Handler:
    """To stderr, or to ``file``, whose folder is made; raises InvalidSettings if that cannot be written."""
    if not file:
        return logging.StreamHandler(sys.__stderr__)
    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        return WatchedFileHandler(file, encoding="utf-8")
    except OSError as error:
        raise InvalidSettings(
            f"CELERY_LOG_FILE: {file} cannot be written ({error.strerror}); name a file in a folder that can"
        ) from None


def configure(level: int | str, *, kind: str = "text", file: str = "") -> None:
    """Send every log line to stderr, or to ``file`` (reopened when it is rotated away), in the format ``kind``."""
    handler = handler_for(file)
    handler.setFormatter(formatter(kind))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
