"""Generators for tests: each call is written to a ledger outside store and Redis, and some misbehave on purpose."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from smart_rag_tasks.errors import TransientError
from smart_rag_tasks.metadata.generator import BaseGenerator, fingerprint_of
from smart_rag_tasks.models import Chunk, ChunkMetadata, DocumentContext


class LedgerGenerator(BaseGenerator):
    """Notes ``document chunk pid time`` in the ledger for each chunk; obeys words in the chunk's text.

    ``raise:always``, ``raise:N`` (the first N times), ``wrong:`` (an error that repeating cannot mend),
    ``transient:N``, ``gate:FILE`` (waits until the file is there), ``kill`` (SIGKILL itself), ``exit`` (``os._exit``),
    ``hang`` (for ever, deaf to the soft limit), ``quietly`` (its parent hears of its end now, before it can be waited
    for). ``seconds`` of work a chunk.
    """

    name = "ledger"

    def __init__(self, ledger: str, seconds: float = 0.0, version: str = "1", seconds_per_chunk: float = 0.001) -> None:
        self.ledger, self.seconds, self.version = Path(ledger), seconds, version
        self.seconds_per_chunk = seconds_per_chunk
        self._fingerprint = fingerprint_of(self.name, version, {})

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def generate(self, chunks: Sequence[Chunk], document: DocumentContext) -> list[ChunkMetadata]:
        return [self._one(chunk, document) for chunk in chunks]

    def title(self, chunks: Sequence[Chunk], hint: str) -> str:
        return hint or (chunks[0].text[:40] if chunks else "")

    def _one(self, chunk: Chunk, document: DocumentContext) -> ChunkMetadata:
        note(self.ledger, document.document_id, chunk.chunk_id)
        if self.seconds:
            time.sleep(self.seconds)
        for word in chunk.text.split():
            if ":" in word or word in ("kill", "exit", "hang", "quietly"):
                _obey(word, read(self.ledger)[document.document_id, chunk.chunk_id])
        return ChunkMetadata(
            keywords=(chunk.chunk_id,), summary=chunk.text[:20], gist=chunk.text[:20], language="en", tokens=1
        )


def _obey(word: str, tries: int) -> None:
    order, _, number = word.partition(":")
    if order == "raise" and (number == "always" or tries <= int(number)):
        raise RuntimeError("this chunk was told to raise")
    if order == "wrong":
        raise ValueError("this chunk will never do")
    if order == "transient" and tries <= int(number):
        raise TransientError("this chunk was told to be slow")
    while order == "gate" and not Path(number).exists():
        time.sleep(0.02)
    if order == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "exit":
        os._exit(7)
    if order == "quietly":
        frame = sys._getframe()
        while "child_w" not in frame.f_locals:  # of billiard, which forked us: the pipe that our end closes
            assert frame.f_back
            frame = frame.f_back
        os.close(frame.f_locals["child_w"])
        time.sleep(0.05)
    if order == "hang":
        while True:
            try:
                time.sleep(60)
            except Exception:
                continue


def note(ledger: Path, document_id: str, chunk_id: str) -> None:
    """Add a line, whole or not at all (one write of less than a page)."""
    with ledger.open("a", encoding="utf-8") as lines:
        lines.write(f"{document_id}\t{chunk_id}\t{os.getpid()}\t{time.time():.4f}\n")


def read(ledger: Path) -> Counter[tuple[str, str]]:
    """How often each (document, chunk) was generated."""
    counts: Counter[tuple[str, str]] = Counter()
    if ledger.exists():
        for line in ledger.read_text(encoding="utf-8").splitlines():
            document_id, chunk_id, *_ = line.split("\t")
            counts[document_id, chunk_id] += 1
    return counts
