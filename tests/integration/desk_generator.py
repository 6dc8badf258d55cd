"""A generator for the tests of the operator's desk: quick, and it fails or takes its time when a chunk says so."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence

from smart_rag_tasks.models import Chunk, ChunkMetadata, DocumentContext, DocumentMetadata


class DeskGenerator:
    fingerprint = "desk-1"
    seconds_per_chunk = 0.005

    def generate(self, chunks: Sequence[Chunk], document: DocumentContext) -> list[ChunkMetadata]:
        for chunk in chunks:
            if "FAIL" in chunk.text:
                raise ValueError(f"cannot read {chunk.text}")
            if wait := re.search(r"WAIT ([\d.]+)", chunk.text):
                time.sleep(float(wait[1]))
        return [ChunkMetadata(keywords=("desk",), summary=chunk.text, language="en") for chunk in chunks]

    def title(self, chunks: Sequence[Chunk], hint: str) -> str:
        return hint or "Title"

    def describe(self, document: DocumentContext, chunks: Iterable[tuple[Chunk, ChunkMetadata]]) -> DocumentMetadata:
        return DocumentMetadata(title=document.title, topics=("desk",), language="en")
