"""How close the pipeline comes to a bare ``multiprocessing.Pool(2)`` that does the same reads, work and writes.

    python benchmarks/pipeline.py                       # all cases, interleaved rounds, medians
    python benchmarks/pipeline.py --case chunks-1000 --rounds 3 --json

Real Redis, real prefork worker, SQLite store. From the submission (chunks written to the store included) to the
document's summary in the store. The Pool cuts the work into the same batches and writes each in one transaction;
it has no leases, no retries, no progress, no broker. Both are warm: processes and generator are there before.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from busy_generator import BusyGenerator  # noqa: E402
from stack import Stack, wait_until  # noqa: E402

WORK = 0.0016  # seconds of CPU a chunk
SLOTS = 2

#: Name: documents, chunks a document, the least ratio we hold ourselves to.
CASES: dict[str, tuple[int, int, float]] = {
    "chunks-1000": (1, 1_000, 0.90),
    "chunks-10000": (1, 10_000, 0.90),
    "documents-2000x3": (2_000, 3, 0.50),
}


def chunks(name: str, count: int) -> list[dict[str, str]]:
    """Chunks of about 1,200 characters, none alike."""
    filler = "the quick brown fox jumps over the lazy dog. " * 26
    return [{"chunk_id": f"c{number}", "text": f"{name} {number} {filler}"} for number in range(count)]


# -- the product


def pipeline_round(documents: int, count: int, tag: str) -> float:
    """Seconds from the first submission until the last document's summary is in the store."""
    from smart_rag_tasks import Client, process_document_pipeline

    given = {f"{tag}-{number}": chunks(f"{tag}-{number}", count) for number in range(documents)}
    client = Client()
    begin = time.perf_counter()
    results = [process_document_pipeline.delay(name, items) for name, items in given.items()]
    results[-1].get(timeout=600)  # asking the store all the time would take from the workers what is measured
    runs = [result.id for result in results]
    wait_until(lambda: client.progress(runs)[2] == 0, timeout=600, what="the pipeline")
    seconds = time.perf_counter() - begin
    assert client.progress(runs)[0] == documents * count
    return seconds


# -- the Pool


def _init(url: str) -> None:
    global _store, _generator
    from smart_rag_tasks.store import open_store

    _store, _generator = open_store(url), BusyGenerator(WORK)


def _batch(task: tuple[str, str, int]) -> int:
    """The same reads, work and writes as a batch of the pipeline."""
    from smart_rag_tasks.metadata import compose_context
    from smart_rag_tasks.models import DocumentContext
    from smart_rag_tasks.store import batches
    from smart_rag_tasks.store.rows import chunk_of, metadata_to_json

    document_id, run_id, number = task
    with _store.read() as connection:
        rows = batches.pending_chunks(connection, document_id, run_id, number)
    outcomes = _generator.generate([chunk_of(row) for row in rows], DocumentContext(document_id))
    now = time.time()
    done = [
        {
            "document_id": row.document_id,
            "chunk_id": row.chunk_id,
            "run_id": row.run_id,
            "meta": metadata_to_json(outcome),
            "meta_key": row.chunk_id,
            "context": compose_context("", row.section_path, outcome.gist),
            "generator": "busy",
            "fingerprint": _generator.fingerprint,
            "generated_at": now,
            "tokens": 0,
        }
        for row, outcome in zip(rows, outcomes, strict=True)
    ]
    with _store.write() as connection:
        return batches.write_done(connection, done)


def pool_round(pool: Any, url: str, size: int, documents: int, count: int, tag: str) -> float:
    """The same, without a queue: store, plan, map, describe."""
    from smart_rag_tasks.metadata import describe
    from smart_rag_tasks.models import Chunk, DocumentContext
    from smart_rag_tasks.stages.ingest import Submission, admit
    from smart_rag_tasks.store import open_store, runs
    from smart_rag_tasks.store.rows import chunk_of, metadata_of

    store, generator = open_store(url), BusyGenerator(WORK)
    given = {f"{tag}-{number}": chunks(f"{tag}-{number}", count) for number in range(documents)}
    begin = time.perf_counter()
    tasks = []
    for name, items in given.items():
        values = [Chunk(item["chunk_id"], item["text"], position) for position, item in enumerate(items)]
        run = admit(store, Submission(name, values, "busy", engine="celery"))
        with store.write() as connection:
            runs.number_chunks(connection, name, run.run_id, size, 0, count)
        tasks += [(name, run.run_id, number) for number in range(-(-count // size))]
    done = sum(pool.imap_unordered(_batch, tasks))
    for name, run_id, number in tasks:
        if number == 0:
            with store.read() as connection:
                rows = list(runs.finished_chunks(connection, name, run_id))
            found = describe(generator, DocumentContext(name), ((chunk_of(row), metadata_of(row.meta)) for row in rows))
            with store.write() as connection:
                runs.set_document(connection, name, run_id, {"summary": found.summary, "status": "completed"})
    seconds = time.perf_counter() - begin
    assert done == documents * count
    store.close()
    return seconds


def batch_size_of(count: int) -> int:
    """The batch size that the pipeline would take."""
    from smart_rag_tasks.settings import get_settings
    from smart_rag_tasks.stages.planning import batch_size

    settings = get_settings()
    return batch_size(WORK, count, seconds=settings.batch_seconds, slots=SLOTS, most=settings.max_batch, own_cap=None)


def compare(case: str, rounds: int, folder: Path) -> dict[str, Any]:
    """Interleaved rounds of both, in one worker and one pool."""
    documents, count, floor = CASES[case]
    stack = Stack(folder / "stack", WORKER_CONCURRENCY=str(SLOTS), PYTHONPATH=str(HERE))
    stack.configure(SMART_RAG_GENERATOR="busy_generator:BusyGenerator", SMART_RAG_GENERATOR_OPTIONS={"seconds": WORK})
    pool_url = f"sqlite:///{folder}/pool.db"
    with stack:
        stack.start_worker()
        with multiprocessing.get_context("spawn").Pool(SLOTS, _init, (pool_url,)) as pool:
            size = batch_size_of(count)
            warm_up = (4, 10) if documents > 1 else (1, 500)  # of the same shape
            pipeline_round(*warm_up, "warm")
            pool_round(pool, pool_url, size, *warm_up, "warm")
            pairs = []
            for number in range(rounds):
                order: Sequence[tuple[str, Callable[[], float]]] = (
                    ("pipeline", lambda n=number: pipeline_round(documents, count, f"r{n}")),
                    ("pool", lambda n=number: pool_round(pool, pool_url, size, documents, count, f"r{n}")),
                )
                times = {name: run() for name, run in (order if number % 2 else order[::-1])}
                pairs.append(times)
                print(f"{case} {number + 1}/{rounds}: {times}", file=sys.stderr)
    ratios = [times["pool"] / times["pipeline"] for times in pairs]
    total = documents * count
    return {
        "case": case,
        "chunks": total,
        "pipeline_seconds": statistics.median(times["pipeline"] for times in pairs),
        "pool_seconds": statistics.median(times["pool"] for times in pairs),
        "chunks_per_second": total / statistics.median(times["pipeline"] for times in pairs),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "floor": floor,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    for case in options.case or CASES:
        with tempfile.TemporaryDirectory() as folder:
            results.append(compare(case, options.rounds, Path(folder)))
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {options.rounds} rounds"
    if options.json:
        print(json.dumps({"machine": machine, "results": results}, indent=2))
        return
    print(f"{machine}; ratio = Pool's time / pipeline's time, median (min-max)\n")
    print(f"{'case':<18}{'pipeline':>10}{'Pool':>9}{'chunks/s':>10}{'ratio':>22}{'at least':>10}")
    for row in results:
        spread = f"{row['ratio']:.2f} ({row['ratio_min']:.2f}-{row['ratio_max']:.2f})"
        print(
            f"{row['case']:<18}{row['pipeline_seconds']:>8.2f} s{row['pool_seconds']:>7.2f} s"
            f"{row['chunks_per_second']:>10.0f}{spread:>22}{row['floor']:>10.2f}"
        )


if __name__ == "__main__":
    main()
