"""A file is read where it lies: by a worker, below the folders that are allowed, whatever a message names."""

from __future__ import annotations

from pathlib import Path

from ..documents import parse_file
from ..errors import InvalidInput
from ..models import ParsedDocument
from .environment import Environment
from .timetable import watched_folders


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
