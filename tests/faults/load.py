"""A producer of its own: submits documents at a steady rate and keeps its own ledger of what was accepted.

``python load.py FILE COUNT RATE FIRST``: one JSON line a document with ``document_id``, ``run_id`` and the seconds
that the submission took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

CHUNKS = 4


def produce(ledger: Path, count: int, rate: float, first: int) -> None:
    """Submit ``count`` documents, ``rate`` a second, by `delay` as an application does."""
    from smart_rag_tasks import process_document_pipeline

    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        document_id = f"load-{first + number:04}"
        chunks = [{"chunk_id": f"c{n}", "text": f"chunk {n} of {document_id}"} for n in range(CHUNKS)]
        started = time.monotonic()
        run_id = process_document_pipeline.delay(document_id, chunks).id
        line = {"document_id": document_id, "run_id": run_id, "seconds": round(time.monotonic() - started, 3)}
        with ledger.open("a") as lines:
            lines.write(json.dumps(line) + "\n")


def accepted(ledger: Path) -> list[dict[str, object]]:
    """What the producer was given an id for."""
    return [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []


if __name__ == "__main__":
    produce(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
