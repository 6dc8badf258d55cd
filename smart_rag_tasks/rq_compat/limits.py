"""The time limits of a batch under RQ, as Celery's pool has them: soft raises in the generator, hard kills.

RQ itself knows one limit, the job's ten minutes, and uses the same alarm; it is set again when the batch has ended.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)


class SoftTimeLimitExceeded(Exception):
    """Of the same name as Celery's, by which the stages know it."""


@contextmanager
def time_limits(soft: float, hard: float) -> Iterator[None]:
    """Raise SoftTimeLimitExceeded in the block after ``soft`` seconds, once; kill this process after ``hard``.

    Only for a work horse: whoever waits for it retries the job, and the store counts the death.
    """
    killer = threading.Timer(hard, _kill, (hard,))
    killer.daemon = True
    killer.start()
    started = time.monotonic()
    theirs = signal.signal(signal.SIGALRM, _raise)
    left = signal.alarm(max(1, round(soft)))
    try:
        yield
    finally:
        signal.alarm(0)
        killer.cancel()
        signal.signal(signal.SIGALRM, theirs)
        if left:
            signal.alarm(max(1, round(left - (time.monotonic() - started))))


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise SoftTimeLimitExceeded("the batch ran into its soft time limit")


def _kill(hard: float) -> None:
    logger.error("killed at the time limit of %s s", hard)
    os.kill(os.getpid(), signal.SIGKILL)
