"""The product as a user runs it, for tests: embedded Redis, a store, real prefork workers in subprocesses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from smart_rag_tasks.names import QUEUES
from smart_rag_tasks.redis_server import RedisServer

TESTS = Path(__file__).parent


def wait_until(look: Callable[[], Any], *, timeout: float = 20.0, what: str = "it") -> Any:
    """What ``look`` gives as soon as it is true; AssertionError after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {timeout} s for {what}"
        time.sleep(0.05)


def chunks_of(*texts: str) -> list[dict[str, Any]]:
    """Chunks as an application gives them."""
    return [{"chunk_id": f"c{number}", "text": text} for number, text in enumerate(texts)]


class Stack:
    """Redis, store and workers of one test (or session), and the environment that they share."""

    def __init__(self, home: Path, store_url: str | None = None, **settings: Any) -> None:
        self.home = home
        self.redis = RedisServer(home / "redis")
        self.ledger = home / "ledger"
        self.env: dict[str, str] = {
            "SMART_RAG_HOME": str(home),
            "SMART_RAG_STORE_URL": store_url or f"sqlite:///{home}/store.db",
            "REMAP_SIGTERM": "SIGQUIT",
            "WORKER_CONCURRENCY": "2",
            "PYTHONPATH": str(TESTS),
        }
        self.configure(**settings)
        self.workers: list[subprocess.Popen[bytes]] = []
        self._before: dict[str, str | None] = {}

    def configure(self, **settings: Any) -> None:
        """Set environment variables for workers started from now on, and for this process."""
        for name, value in settings.items():
            self.env[name] = value if isinstance(value, str) else json.dumps(value)

    def ledger_generator(self, **options: Any) -> None:
        """Use the generator that keeps a ledger."""
        self.configure(
            SMART_RAG_GENERATOR="testing_generators:LedgerGenerator",
            SMART_RAG_GENERATOR_OPTIONS={"ledger": str(self.ledger), **options},
        )

    def __enter__(self) -> Stack:
        self.env["REDIS_URL"] = self.redis.start()
        self.enter_environment()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self.workers):
            self.stop_worker(worker)
        self.leave_environment()
        self.redis.stop()

    def enter_environment(self) -> None:
        """Let this process publish to, and read from, this stack."""
        for name in self.env:  # entered again after `configure`: what was there before us still counts
            self._before.setdefault(name, os.environ.get(name))
        os.environ.update(self.env)
        self._renew()

    def leave_environment(self) -> None:
        """Give this process its environment back."""
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._before.clear()
        self._renew()

    def _renew(self) -> None:
        from smart_rag_tasks.stages import environment

        environment.reset()
        if "smart_rag_tasks.celery" in sys.modules:
            app = sys.modules["smart_rag_tasks.celery"].app
            app.close()
            app._pool = None
            app.amqp._producer_pool = None
            url = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
            app.conf.broker_url = app.conf.broker_read_url = app.conf.broker_write_url = app.conf.result_backend = url
            app._local.__dict__.pop("backend", None)
            app._backend_cache = None
            app.conf.redbeat_redis_url = url
            for name in ("redbeat_redis", "redbeat_conf"):  # what RedBeat keeps on the app
                app.__dict__.pop(name, None)

    def start_worker(
        self, *words: str, queues: Sequence[str] = QUEUES, name: str = "", wait: bool = True, **settings: Any
    ) -> subprocess.Popen[bytes]:
        """A prefork worker; ready when this returns (unless ``wait`` is False). Its log is ``NAME.log``."""
        name = name or f"worker{len(self.workers) + 1}"
        log = self.home / f"{name}.log"
        env = os.environ | self.env | {key: str(value) for key, value in settings.items()}
        with log.open("ab") as output:
            begin = output.tell()
            worker = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "-A", "smart_rag_tasks", "worker", "-l", "INFO"),
                    *("-Q", ",".join(queues), "-n", f"{name}@%h", "-c", env["WORKER_CONCURRENCY"], *words),
                ],
                env=env,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.home,
            )
        self.workers.append(worker)
        if wait:
            wait_until(
                lambda: b" ready." in log.read_bytes()[begin:] or worker.poll() is not None,
                timeout=60,
                what=f"worker, see {log}",
            )
            assert worker.poll() is None, log.read_text()
        return worker

    def stop_worker(self, worker: subprocess.Popen[bytes], number: int = signal.SIGTERM, timeout: float = 30.0) -> None:
        """Stop a worker and see that it is gone."""
        if worker in self.workers:
            self.workers.remove(worker)
        children = self.children(worker)
        if worker.poll() is None:
            worker.send_signal(number)
        try:
            worker.wait(timeout)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait(5)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()

    def kill_worker(self, worker: subprocess.Popen[bytes]) -> None:
        """SIGKILL parent and children at once."""
        self.workers.remove(worker)
        children = self.children(worker)
        for process in (worker, *children):
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                process.kill()
        worker.wait(5)

    def children(self, worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """The worker's pool children."""
        try:
            return psutil.Process(worker.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
