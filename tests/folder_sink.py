"""A sink for tests: a file a chunk below $FOLDER_SINK, and what goes wrong as $FOLDER_SINK/trouble says."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote


class Wordless(Exception):
    """An error that cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class FolderSink:
    """``trouble``: ``down``, ``quotes``, ``unprintable``, ``wordless``, ``exits``; a text with "slow" takes 3 s."""

    def __init__(self) -> None:
        self.folder = Path(os.environ["FOLDER_SINK"])

    def upsert(self, records: Sequence[dict[str, Any]]) -> None:
        self._trouble(records[0]["text"])
        if any("slow" in record["text"] for record in records):
            time.sleep(3.0)
        for record in records:
            self._file(record["document_id"], record["chunk_id"]).write_text(record["text"], encoding="utf-8")

    def delete(self, document_id: str, chunk_ids: Sequence[str] | None) -> None:
        self._trouble("")
        if chunk_ids is None:
            for file in self.folder.glob(f"{quote(document_id, safe='')} *"):
                file.unlink()
        for chunk_id in chunk_ids or ():
            self._file(document_id, chunk_id).unlink(missing_ok=True)

    def _file(self, document_id: str, chunk_id: str) -> Path:
        return self.folder / f"{quote(document_id, safe='')} {chunk_id}"

    def _trouble(self, text: str) -> None:
        trouble = self.folder / "trouble"
        match trouble.read_text() if trouble.exists() else "":
            case "down":
                raise ConnectionError("the sink is down")
            case "quotes":
                raise ValueError(f"cannot index {text[:20]}")
            case "unprintable":
                raise ConnectionError("a\x00b \ud800")
            case "wordless":
                raise Wordless
            case "exits":
                raise SystemExit(3)
