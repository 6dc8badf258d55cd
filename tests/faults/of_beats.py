"""Faults of beat: two of them, the one with the lock killed, both gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ground import Ground, Outcome

#: The suite's: with the defaults (lock 30 s, loop 5 s) a takeover lasts as long as the lock.
_QUICK = """
from smart_rag_tasks.celeryconfig import *
beat_max_loop_interval = 1
redbeat_lock_timeout = 4
"""

_SENT = "Sending due task sweep "


def taken_over(ground: Ground) -> Outcome:
    """Of two beats the one with the lock is killed: until the other one sends. The document goes on meanwhile."""
    first = start_beat(ground, "beat1")
    ground.wait(lambda: _SENT in _log(ground, "beat1"), 30, "the first beat to send")
    second = start_beat(ground, "beat2")
    try:
        ground.wait(lambda: "standing by" in _log(ground, "beat2"), 30, "the second beat to stand by")
        ground.begin()
        assert _SENT not in _log(ground, "beat2")
        first.kill()
        ground.fault()
        ground.wait(lambda: _SENT in _log(ground, "beat2"), 60, "the takeover")
        seconds = time.monotonic() - ground.since
        outcome = ground.end(120)
    finally:
        for beat in (first, second):
            beat.kill()
            beat.wait(10)
    return Outcome(round(seconds, 2), *_rest(outcome), "until the other beat sends")


def both_gone(ground: Ground) -> Outcome:
    """Both beats are stopped, then the worker is killed: the sweep comes from the workers."""
    beats = [start_beat(ground, name) for name in ("beat1", "beat2")]
    worker = ground.begin()
    for beat in beats:
        beat.send_signal(signal.SIGTERM)
    for beat in beats:
        beat.wait(20)
    ground.redis.flushall()  # no message is left: only a sweep can send the rest
    ground.fault()
    ground.stack.kill_worker(worker)
    ground.start_worker()
    return ground.end(40)


def start_beat(ground: Ground, name: str) -> subprocess.Popen[bytes]:
    """A beat; its log is ``NAME.log``."""
    env = os.environ | ground.stack.env
    if ground.scale.outage < 1:
        (ground.home / "quick_beat.py").write_text(_QUICK)
        env |= {"CELERY_CONFIG_MODULE": "quick_beat", "PYTHONPATH": f"{ground.home}{os.pathsep}{env['PYTHONPATH']}"}
    command = [sys.executable, "-m", "celery", "-A", "smart_rag_tasks", "beat", "-l", "INFO"]
    with _path(ground, name).open("ab") as output:
        return subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT, cwd=ground.home)


def _path(ground: Ground, name: str) -> Path:
    return ground.home / f"{name}.log"


def _log(ground: Ground, name: str) -> str:
    return _path(ground, name).read_text(errors="replace")


def _rest(outcome: Outcome) -> tuple[str, int, int, dict[str, int], int]:
    return outcome.status, outcome.doubles, outcome.repeats, outcome.states, outcome.lost
