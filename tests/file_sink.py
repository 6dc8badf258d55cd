"""A sink that writes to a file, for tests: set FILE_SINK to its path."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class FileSink:
    """Appends a line a record."""

    def __init__(self) -> None:
        self.path = Path(os.environ["FILE_SINK"])

    def upsert(self, records: Sequence[dict[str, Any]]) -> None:
        with self.path.open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(record) + "\n" for record in records)

    def delete(self, document_id: str, chunk_ids: Sequence[str] | None) -> None:
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"deleted": document_id, "chunk_ids": chunk_ids}) + "\n")
