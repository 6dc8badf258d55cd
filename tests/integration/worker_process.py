"""A real prefork worker in a process of its own, for the tests of single parts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

HERE = Path(__file__).parent


def eventually(what: Callable[[], Any], limit: float = 20.0) -> Any:
    """The first true value of ``what()``, or its last one when the limit (seconds) is over."""
    end = time.monotonic() + limit
    while not (value := what()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


class Worker:
    """A worker with two slots of one of the small applications beside this file."""

    def __init__(self, app: str, log: Path, env: Mapping[str, str]) -> None:
        self.log = log
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-c", "2", "-l", "INFO"]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "-n", f"{log.stem}@%h"],
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": str(HERE), **env},
                cwd=HERE,
            )

    def ready(self) -> bool:
        return bool(eventually(lambda: " ready." in self.text() or self.died())) and not self.died()

    def died(self) -> bool:
        return self.process.poll() is not None

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(app: str, log: Path, **env: str) -> Iterator[Worker]:
    """A worker that is ready; its log goes to ``log``."""
    worker = Worker(app, log, env)
    try:
        assert worker.ready(), worker.text()[-3000:]
        yield worker
    finally:
        worker.stop()


def result_of(client: redis.Redis, id: str, limit: float = 20.0) -> Any:
    """The stored result of a task (JSON), as soon as there is one."""
    found = eventually(lambda: client.get(f"celery-task-meta-{id}"), limit)
    return json.loads(found)["result"] if found else None
