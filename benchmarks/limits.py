"""Latency, memory and size: what a bulk load does to somebody who waits, and to Redis and the workers.

    python benchmarks/limits.py [--json] [--case NAME]

Real Redis, real prefork worker with two processes, SQLite store; medians of several tries where a time is taken.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import redis

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from pipeline import WORK, chunks  # noqa: E402
from stack import Stack, wait_until  # noqa: E402


def busy_stack(folder: Path) -> Stack:
    """A stack whose generator costs 1.6 ms a chunk."""
    stack = Stack(folder / "stack", PYTHONPATH=str(HERE), SMART_RAG_GENERATOR="busy_generator:BusyGenerator")
    stack.configure(SMART_RAG_GENERATOR_OPTIONS={"seconds": WORK})
    return stack


def interactive(folder: Path) -> dict[str, Any]:
    """Seconds for a 10-chunk interactive document while 8,000 bulk chunks are worked on."""
    from smart_rag_tasks import Client, process_document_pipeline

    with busy_stack(folder) as stack:
        stack.start_worker()
        client = Client()
        client.submit("bulk", chunks("bulk", 8_000))
        wait_until(lambda: client.status("bulk")["done"] > 100, timeout=60)
        times = []
        for number in range(9):
            begin = time.perf_counter()
            process_document_pipeline.delay(f"quick{number}", chunks(f"quick{number}", 10), lane="interactive").get(
                timeout=30, interval=0.01
            )
            times.append(time.perf_counter() - begin)
        still_bulk = client.status("bulk")["status"] == "running"
        client.cancel("bulk") if still_bulk else None
    return {
        "what": "10 interactive chunks behind 8,000",
        "value": statistics.median(times),
        "unit": "s",
        "at_most": 0.2,
        "spread": [min(times), max(times)],
        "bulk_was_running": still_bulk,
    }


def large_document(folder: Path) -> list[dict[str, Any]]:
    """Redis' peak and the workers' growth while one document of 100,000 chunks is worked on."""
    from smart_rag_tasks import Client

    with busy_stack(folder) as stack:
        worker = stack.start_worker()
        client, server = Client(), redis.Redis.from_url(stack.env["REDIS_URL"])
        client.result(client.submit("warm", chunks("warm", 3_000)).run_id, timeout=120)
        before, idle = server.info("memory")["used_memory"], rss(stack, worker)
        run = client.submit("large", [{"chunk_id": f"c{n}", "text": f"large {n} " + "x" * 300} for n in range(100_000)])
        peak, grown = 0, 0.0

        def ended() -> bool:
            nonlocal peak, grown
            time.sleep(2)  # reading a process's memory map is work for the kernel
            peak = max(peak, server.info("memory")["used_memory"] - before)
            grown = max(grown, rss(stack, worker) - idle)
            return client.progress([run.run_id])[2] == 0

        wait_until(ended, timeout=900)
    return [
        {"what": "Redis, 100,000 chunks", "value": peak / 1e6, "unit": "MB", "at_most": 5.0},
        {"what": "workers' growth, 100,000 chunks", "value": grown, "unit": "MB", "at_most": 60.0},
    ]


def rss(stack: Stack, worker: subprocess.Popen[bytes]) -> float:
    """Megabytes of a worker and its children, memory that they share counted once."""
    processes = [psutil.Process(worker.pid), *stack.children(worker)]
    return sum(process.memory_full_info().pss for process in processes) / 1e6


def memory(folder: Path) -> dict[str, Any]:
    """Megabytes of a worker with two processes that have worked with the extractive generator."""
    from smart_rag_tasks import Client

    words = "茶是一种用茶树的叶子做成的饮料。Tea is a drink made of the leaves of the tea plant. "
    with Stack(folder / "stack") as stack:
        worker = stack.start_worker()
        client = Client()
        given = [{"chunk_id": f"c{n}", "text": f"{n} {words * 8}"} for n in range(600)]
        client.result(client.submit("text", given).run_id, timeout=120)
        value = rss(stack, worker)
    return {"what": "a worker with two processes", "value": value, "unit": "MB", "at_most": 220.0}


def help_time(_folder: Path) -> dict[str, Any]:
    """Seconds for ``smart-rag-tasks --help``."""
    times = []
    for _ in range(7):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "smart_rag_tasks", "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begin)
    return {"what": "smart-rag-tasks --help", "value": statistics.median(times), "unit": "s", "at_most": 0.4}


CASES: dict[str, Callable[[Path], Any]] = {
    "help": help_time,
    "memory": memory,
    "interactive": interactive,
    "large-document": large_document,
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.case or CASES:
        with tempfile.TemporaryDirectory() as folder:
            found = CASES[name](Path(folder))
            rows += found if isinstance(found, list) else [found]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(f"{row['what']:<36}{row['value']:>10.2f} {row['unit']:<3} (at most {row['at_most']:g} {row['unit']})")


if __name__ == "__main__":
    main()
