"""What a scrape of the exporter costs, with few and with many documents in the store.

    python benchmarks/scrape_cost.py [DOCUMENTS …]        default: 10 10000

A real Redis, a real exporter process, a store filled row by row through the tables (so that the triggers count);
ten chunks a document. Prints one JSON line a size: median and maximum of 30 scrapes, in milliseconds.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from uuid import uuid4

from smart_rag_tasks.redis_server import RedisServer
from smart_rag_tasks.store import open_store, tallies
from smart_rag_tasks.store.engine import Store
from smart_rag_tasks.store.schema import chunks, documents, runs

SCRAPES = 30
CHUNKS = 10


def fill(store: Store, count: int) -> None:
    """``count`` documents, half of them finished, half of them queued; counted by the triggers, and added up."""
    now = time.time()
    for start in range(0, count, 500):
        ids = [
            (f"document-{number}", str(uuid4()), number % 2 == 0) for number in range(start, min(count, start + 500))
        ]
        with store.write() as connection:
            connection.execute(documents.insert(), [document_row(*each, now) for each in ids])
            connection.execute(runs.insert(), [run_row(*each, now) for each in ids])
            connection.execute(chunks.insert(), [chunk_row(*each, number) for each in ids for number in range(CHUNKS)])
    with store.write() as connection:
        while tallies.fold(store, connection):
            pass


def document_row(document_id: str, run_id: str, ended: bool, now: float) -> dict[str, object]:
    status = "completed" if ended else "queued"
    return {"document_id": document_id, "run_id": run_id, "status": status, "created_at": now, "updated_at": now}


def run_row(document_id: str, run_id: str, ended: bool, now: float) -> dict[str, object]:
    return {
        "run_id": run_id,
        "document_id": document_id,
        "status": "completed" if ended else "queued",
        "stage": "done" if ended else "queued",
        "lane": "bulk",
        "engine": "celery",
        "generator": "extractive",
        "content_hash": "",
        "total": CHUNKS,
        "done": CHUNKS if ended else 0,
        "created_at": now,
        "published_at": now,
    }


def chunk_row(document_id: str, run_id: str, ended: bool, number: int) -> dict[str, object]:
    return {
        "document_id": document_id,
        "chunk_id": f"c{number}",
        "run_id": run_id,
        "position": number,
        "text": "some text " * 20,
        "state": "done" if ended else "pending",
    }


def measure(folder: Path, count: int) -> dict[str, object]:
    store = open_store(f"sqlite:///{folder}/store.db")
    fill(store, count)
    store.close()
    with socket.socket() as probe, RedisServer(folder / "redis") as redis:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        env = {**os.environ, "SMART_RAG_HOME": str(folder), "REDIS_URL": redis.url}
        command = "from smart_rag_tasks.cli import main; main()"
        exporter = subprocess.Popen([sys.executable, "-c", command, "exporter", f"--port={port}"], env=env)
        try:
            times = [scrape(port) for _ in range(SCRAPES)]
        finally:
            exporter.terminate()
            exporter.wait()
    return {
        "documents": count,
        "chunks": count * CHUNKS,
        "scrapes": SCRAPES,
        "median_ms": round(statistics.median(times), 1),
        "max_ms": round(max(times), 1),
    }


def scrape(port: int) -> float:
    """Milliseconds; over a second apart, so that none is answered from memory."""
    time.sleep(1.05)
    for _ in range(100):
        begin = time.perf_counter()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except OSError:  # it is still starting
            time.sleep(0.1)
            continue
        assert 'smart_rag_up{part="store"} 1.0' in text
        return 1000 * (time.perf_counter() - begin)
    raise SystemExit("the exporter does not answer")


def main() -> None:
    for count in [int(word) for word in sys.argv[1:]] or [10, 10_000]:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(Path(folder), count)), flush=True)


if __name__ == "__main__":
    main()
