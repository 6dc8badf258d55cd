"""A generator that costs a known time of CPU a chunk: what is measured then is everything else."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from smart_rag_tasks.metadata.generator import BaseGenerator
from smart_rag_tasks.models import Chunk, ChunkMetadata, DocumentContext, DocumentMetadata


class BusyGenerator(BaseGenerator):
    """``seconds`` of busy CPU a chunk."""

    name = "busy"
    fingerprint = "busy-1"

    def __init__(self, seconds: float = 0.0016) -> None:
        self.seconds = self.seconds_per_chunk = seconds

    def generate(self, chunks: Sequence[Chunk], document: DocumentContext) -> list[ChunkMetadata]:
        return [self._one(chunk) for chunk in chunks]

    def _one(self, chunk: Chunk) -> ChunkMetadata:
        end = time.thread_time() + self.seconds
        while time.thread_time() < end:
            pass
        words = chunk.text.split()[2:8]
        return ChunkMetadata(keywords=tuple(words), summary=chunk.text[:120], gist=" ".join(words), language="en")

    def title(self, chunks: Sequence[Chunk], hint: str) -> str:
        return hint

    def describe(self, document: DocumentContext, chunks: Iterable[tuple[Chunk, ChunkMetadata]]) -> DocumentMetadata:
        count = sum(1 for _ in chunks)
        return DocumentMetadata(title=document.title, summary=f"{count} chunks", language="en")
