"""Setting up logging in a process: one handler on the root logger, in our format."""

from __future__ import annotations

import logging
import sys
from logging.handlers import WatchedFileHandler

from .formatting import formatter

#: Libraries that tell at INFO what only their own developers want to know.
_TALKATIVE = ("alembic", "httpx", "httpcore", "openai", "urllib3", "rq.worker")


def configure(level: int | str, *, kind: str = "text", file: str = "") -> None:
    """Send every log line to stderr, or to ``file`` (reopened when it is rotated away), in the format ``kind``."""
    handler = WatchedFileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(formatter(kind))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
