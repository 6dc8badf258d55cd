"""A vector store for tests: down until a file says otherwise, then it notes what it gets."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class FileSink:
    """Appends what it gets to ``$TEST_SINK``; raises while ``$TEST_SINK.down`` exists."""

    def __init__(self) -> None:
        self.path = Path(os.environ["TEST_SINK"])

    def _note(self, *what: Any) -> None:
        if self.path.with_suffix(".down").exists():
            raise ConnectionError("the sink is down")
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(what) + "\n")

    def upsert(self, records: Sequence[dict[str, Any]]) -> None:
        self._note("upsert", [record["chunk_id"] for record in records])

    def delete(self, document_id: str, chunk_ids: Sequence[str] | None) -> None:
        self._note("delete", document_id, chunk_ids)
