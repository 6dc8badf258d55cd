"""RQ's side of a Stack: real RQ workers in subprocesses, and jobs as an older installation left them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from redis import Redis
from stack import Stack, wait_until

from smart_rag_tasks.rq_compat.monitor import RQMonitor

PROGRAM = [sys.executable, "-c", "from smart_rag_tasks.cli import main; main()"]


def start_rq_worker(
    stack: Stack, *words: str, count: int = 2, name: str = "", wait: bool = True, **settings: Any
) -> subprocess.Popen[bytes]:
    """``smart-rag-tasks rq worker``; its workers listen when this returns. Its log is ``NAME.log``."""
    name = name or f"rq{len(stack.workers) + 1}"
    before = len(RQMonitor().workers())
    env = os.environ | stack.env | {key: str(value) for key, value in settings.items()}
    with (stack.home / f"{name}.log").open("ab") as output:
        worker = subprocess.Popen(
            [*PROGRAM, "rq", "worker", "--count", str(count), *words],
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=stack.home,
        )
    stack.workers.append(worker)
    if wait:
        wait_until(lambda: len(RQMonitor().workers()) >= before + count, what=f"RQ workers, see {name}.log")
    return worker


def cli(stack: Stack, *words: str, timeout: float = 100.0, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run ``smart-rag-tasks …`` as a user does."""
    return subprocess.run(
        [*PROGRAM, *words],
        env=os.environ | stack.env | settings,
        cwd=stack.home,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def snapshot(redis: Redis, pattern: str = "*") -> dict[bytes, Any]:
    """The keys with their values: equal before and after means that nothing was written."""
    readers: dict[bytes, Callable[[bytes], Any]] = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"set": redis.smembers,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        b"stream": redis.xrange,
    }
    keys = [key for key in redis.scan_iter(pattern) if not key.startswith(b"_kombu")]
    return {key: readers[redis.type(key)](key) for key in keys}
