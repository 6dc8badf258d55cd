"""A file is read where it lies: by a worker, below the folders that are allowed, whatever a message names."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from ..documents import parse_file
from ..errors import InvalidInput, UnreadableDocument
from ..models import ParsedDocument
from ..store import facts
from .environment import Environment
from .timetable import watched_folders

#: Before a message's id, in the name of the fact that counts the processes that died while it was theirs.
INGEST_DEATHS: Final = "ingest_deaths:"


def roots(env: Environment) -> tuple[Path, ...]:
    """The folders below which workers may read: those of the settings, and the watched ones."""
    with env.store.read() as connection:
        return (*env.settings.allowed_roots, *watched_folders(connection))


def allowed(path: Path, roots: tuple[Path, ...]) -> Path:
    """The path with every link followed, if it lies below one of ``roots``; InvalidInput if not."""
    real = path.expanduser().resolve()
    if not any(real.is_relative_to(root.resolve()) for root in roots):
        raise InvalidInput(
            f"{path.name}: lies outside the folders that workers may read; `watch` its folder, or add it to"
            " SMART_RAG_ALLOWED_ROOTS"
        )
    return real


def parse(env: Environment, path: Path) -> ParsedDocument:
    """The file as chunks, within the limits of the settings; raises DocumentError."""
    settings = env.settings
    return parse_file(
        path,
        chunk_chars=settings.chunk_chars,
        max_bytes=settings.max_file_mb * 1024 * 1024,
        max_chunks=settings.max_chunks,
    )


def count_death(env: Environment, message_id: str, path: Path) -> None:
    """A message that brought a file came back: the process that had it died, perhaps of the file.

    Raises UnreadableDocument after ``max_attempts``; a death is counted before the next try, which may be another.
    """
    name = INGEST_DEATHS + message_id
    with env.store.write() as connection:
        deaths = facts.hold(env.store, connection, name, 0, time.time()) + 1
        if deaths < env.settings.max_attempts:
            facts.put(env.store, connection, name, deaths, time.time())
        else:
            facts.remove(connection, name)
    if deaths >= env.settings.max_attempts:
        raise UnreadableDocument(
            f"{path.name}: {deaths} processes died while they read it; save it anew or split it, or give workers memory"
        )


def forget_deaths(env: Environment, message_id: str) -> None:
    """The file was read after all."""
    with env.store.write() as connection:
        facts.remove(connection, INGEST_DEATHS + message_id)
