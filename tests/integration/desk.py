"""An operator's desk for the tests: one Redis, and the project's own processes beside it, each with a log file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from smart_rag_tasks.redis_server import RedisServer

HERE = Path(__file__).parent
#: Stands in every chunk's text: it must not be seen anywhere.
SECRET = "SECRETTEXT"
#: Of Redis: the same.
PASSWORD = "REDISPASSWORD"
#: ``smart-rag-tasks``.
PROGRAM = "from smart_rag_tasks.cli import main; main()"
QUEUES = "priority_queue,maintenance,default,metadata_queue,intake_queue"


def eventually(what: Callable[[], Any], limit: float = 30.0) -> Any:
    """The first true value of ``what()``, or its last one when the limit (seconds) is over."""
    end = time.monotonic() + limit
    while not (value := what()) and time.monotonic() < end:
        time.sleep(0.05)
    return value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Desk:
    """Redis, an environment, and processes that are stopped in the end."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self.redis = RedisServer(folder / "redis", password=PASSWORD)
        self.redis.start()
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("CELERY_", "FLOWER_"))},
            "REDIS_URL": self.redis.url,
            "SMART_RAG_HOME": str(folder / "home"),
            "SMART_RAG_GENERATOR": "desk_generator:DeskGenerator",
            "PYTHONPATH": str(HERE),
            "PYTHONUNBUFFERED": "1",
            "REMAP_SIGTERM": "SIGQUIT",
            "SMART_RAG_SOFT_SHUTDOWN": "2",
            "SMART_RAG_SWEEP_SECONDS": "1",
            "SMART_RAG_LOST_AFTER": "3",
            "SMART_RAG_MAX_BATCH": "6",  # whatever was measured before, a document of the tests has several batches
            **env,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str, **env: str) -> subprocess.Popen[bytes]:
        """``python -m …``, its output in ``NAME.log``."""
        return self._start(name, "-m", *command, **env)

    def start_rag(self, name: str, *command: str, **env: str) -> subprocess.Popen[bytes]:
        """``smart-rag-tasks …``, its output in ``NAME.log``."""
        return self._start(name, "-c", PROGRAM, *command, **env)

    def _start(self, name: str, *command: str, **env: str) -> subprocess.Popen[bytes]:
        with self.log(name).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, *command],
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={**self.env, **env},
                start_new_session=True,
            )
        self.processes[name] = process
        return process

    def worker(self, name: str = "worker", *options: str, **env: str) -> subprocess.Popen[bytes]:
        """A worker with two slots, ready."""
        options = options or ("-Q", QUEUES, "-c", "2")
        process = self.start(name, "celery", "-A", "smart_rag_tasks", "worker", "-n", f"{name}@%h", *options, **env)
        assert eventually(lambda: " ready." in self.text(name) or process.poll() is not None), self.text(name)
        assert process.poll() is None, self.text(name)
        return process

    def run(self, *command: str, check: bool = True, input: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """A Python command line to its end."""
        done = subprocess.run(
            [sys.executable, *command],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**self.env, **env},
            timeout=60,
            input=input,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    def rag(self, *command: str, check: bool = True, input: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """``smart-rag-tasks …`` to its end."""
        return self.run("-c", PROGRAM, *command, check=check, input=input, **env)

    def python(self, code: str, **env: str) -> str:
        """What a program prints that uses the package as an application would."""
        return self.run("-c", code, **env).stdout

    def submit(self, document_id: str, texts: list[str], wait: bool = True) -> str:
        """Hand a document over; gives its run's id, when it has ended unless ``wait`` is false."""
        chunks = [{"chunk_id": f"c{number}", "text": f"{SECRET} {text}"} for number, text in enumerate(texts)]
        return self.python(
            "from smart_rag_tasks import process_document_pipeline as pipeline\n"
            f"result = pipeline.delay({document_id!r}, {chunks!r})\n"
            f"{wait} and result.get(timeout=50)\n"
            "print(result.id)"
        ).strip()

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def text(self, name: str) -> str:
        return self.log(name).read_text(errors="replace")

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End one process and its children."""
        process = self.processes.pop(name)
        process.send_signal(how)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        for name in list(self.processes):
            self.stop(name)
        self.redis.stop()
