"""`smart-rag-tasks run FOLDER` beside a bare ``multiprocessing.Pool`` of the same parser and generator.

    python benchmarks/books.py FOLDER… [--rounds 3] [--slots 2] [--json]

Both as a user starts them, each round in a process of its own, interleaved: from the command to its end, files read,
cut into chunks, given their metadata, documents described, results written. `run` starts Redis and workers first and
keeps what it did in a store; the Pool has none of it and writes JSON lines. Take real books, such as the HTML pages of
Debian's debian-handbook and debian-reference-zh-cn.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any


def run_round(folders: Sequence[Path], slots: int, home: Path) -> int:
    """`smart-rag-tasks run` with a new store; how many chunks got metadata."""
    command = [sys.executable, "-m", "smart_rag_tasks", "run", *map(str, folders), "--workers", str(slots), "--json"]
    env = os.environ | {"SMART_RAG_HOME": str(home)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return sum(record.get("done", 0) for record in json.loads(done.stdout))


def pool_round(folders: Sequence[Path], slots: int, home: Path) -> int:
    """The same with a Pool; how many chunks got metadata."""
    command = [sys.executable, __file__, "--pool", str(home / "chunks.jsonl"), "--slots", str(slots)]
    done = subprocess.run([*command, *map(str, folders)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def pool(folders: Sequence[Path], slots: int, out: Path) -> None:
    """What a user would write without us."""
    from smart_rag_tasks.documents import find_files

    with multiprocessing.Pool(slots, _init) as workers, out.open("w", encoding="utf-8") as file:
        chunks = 0
        for records in workers.imap_unordered(_document, find_files(folders)):
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            chunks += len(records) - 1
    print(chunks)


def _init() -> None:
    global _generator
    from smart_rag_tasks.metadata.extractive import ExtractiveGenerator

    _generator = ExtractiveGenerator()


def _document(path: Path) -> list[dict[str, Any]]:
    """A document's metadata, then its chunks'; nothing of a file that cannot be read."""
    from smart_rag_tasks.documents import parse_file
    from smart_rag_tasks.errors import SmartRagError
    from smart_rag_tasks.models import ChunkMetadata, DocumentContext
    from smart_rag_tasks.settings import get_settings

    limits = get_settings()
    most = limits.max_file_mb * 1024 * 1024
    try:
        parsed = parse_file(path, chunk_chars=limits.chunk_chars, max_bytes=most, max_chunks=limits.max_chunks)
    except SmartRagError:
        return [{}]
    title = _generator.title(parsed.chunks[:20], parsed.title)
    document = DocumentContext(parsed.document_id, title=title)
    outcomes = _generator.generate(parsed.chunks, document)
    made = [(a, b) for a, b in zip(parsed.chunks, outcomes, strict=True) if isinstance(b, ChunkMetadata)]
    about = _generator.describe(document, iter(made))
    return [asdict(about), *(asdict(chunk) | asdict(metadata) for chunk, metadata in made)]


def main() -> None:
    """Rounds by turns, medians, one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pool", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.pool:
        pool(given.folders, given.slots, given.pool)
        return
    measured: dict[str, list[tuple[int, float]]] = {"run": [], "Pool": []}
    for number in range(given.rounds):
        for name, one in (("run", run_round), ("Pool", pool_round)):
            with tempfile.TemporaryDirectory() as home:
                begin = time.perf_counter()
                chunks = one(given.folders, given.slots, Path(home))
                measured[name].append((chunks, time.perf_counter() - begin))
            print(f"round {number + 1}, {name}: {chunks} chunks, {measured[name][-1][1]:.1f} s", file=sys.stderr)
    speeds = {name: [chunks / seconds for chunks, seconds in rounds] for name, rounds in measured.items()}
    ratios = [ours / theirs for ours, theirs in zip(speeds["run"], speeds["Pool"], strict=True)]
    result = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "chunks": {name: rounds[0][0] for name, rounds in measured.items()},
        "chunks_per_second": {name: round(statistics.median(found), 1) for name, found in speeds.items()},
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
    }
    if given.json:
        print(json.dumps(result))
        return
    print(f"{given.slots} processes, {given.rounds} rounds, {result['machine']}")
    for name, found in speeds.items():
        print(f"  {name:<6}{measured[name][0][0]:>8} chunks {statistics.median(found):>8.1f} a second")
    print(f"  ratio {result['ratio']:.2f} ({min(ratios):.2f}–{max(ratios):.2f})")


if __name__ == "__main__":
    main()
