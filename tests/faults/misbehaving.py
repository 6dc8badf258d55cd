"""Generators that misbehave outside `generate`, a file that kills its reader, and a worker from before a deploy."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from celery import signals as celery_signals
from testing_generators import LedgerGenerator

from smart_rag_tasks import names
from smart_rag_tasks.models import Chunk, ChunkMetadata, DocumentContext, DocumentMetadata, ParsedDocument


class KillsPlanning(LedgerGenerator):
    """Its `title`, asked for while a run is planned, kills the process."""

    def title(self, chunks: Sequence[Chunk], hint: str) -> str:
        _note_and_die(f"{self.ledger}.title")


class KillsTheEnd(LedgerGenerator):
    """Its `describe`, asked for at a run's end, kills the process."""

    def describe(self, document: DocumentContext, chunks: Iterable[tuple[Chunk, ChunkMetadata]]) -> DocumentMetadata:
        _note_and_die(f"{self.ledger}.describe")


def _note_and_die(path: str) -> NoReturn:
    with open(path, "a") as lines:
        lines.write(f"{os.getpid()}\n")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


@celery_signals.celeryd_after_setup.connect
def forget_a_task(instance: object = None, **_: object) -> None:
    """With ``-I misbehaving`` and ``HALF_DEPLOYED`` set: a worker that does not know the task of batches."""
    if os.environ.get("HALF_DEPLOYED"):
        from smart_rag_tasks import app

        app.tasks.unregister(names.GENERATE_BATCH)


@celery_signals.celeryd_after_setup.connect
def die_of_a_file(instance: object = None, **_: object) -> None:
    """With ``-I misbehaving`` and ``DEADLY_FILE`` set to its name: reading that file kills the process."""
    deadly = os.environ.get("DEADLY_FILE")
    if not deadly:
        return
    from smart_rag_tasks.stages import files

    parse = files.parse_file

    def parse_or_die(path: Path, **limits: int) -> ParsedDocument:
        if path.name == deadly:
            _note_and_die(os.environ["DEATHS"])
        return parse(path, **limits)

    files.parse_file = parse_or_die
