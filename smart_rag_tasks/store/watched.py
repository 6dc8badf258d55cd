"""Statements on watched files: what the last re-scan saw of them, and the documents made from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, or_, select, update

from ..models import ChunkState, Json
from .engine import Store
from .schema import chunks, documents, runs, watched_files


def files(connection: Connection, folder: str) -> dict[str, Row[Any]]:
    """What is known of a watched folder's files, by source."""
    rows = connection.execute(select(watched_files).where(watched_files.c.folder == folder))
    return {row.source: row for row in rows}


def documents_below(connection: Connection, *prefixes: str) -> dict[str, Row[Any]]:
    """Documents whose source begins with one of the prefixes, by source (``reason``: why their run broke)."""
    query = select(
        documents.c.document_id,
        documents.c.source,
        documents.c.source_hash,
        documents.c.status,
        documents.c.updated_at,
        runs.c.error.label("reason"),
    ).join(runs, runs.c.run_id == documents.c.run_id, isouter=True)
    below = or_(*(documents.c.source.startswith(prefix, autoescape=True) for prefix in prefixes))
    rows: list[Row[Any]] = list(connection.execute(query.where(below).order_by(documents.c.updated_at)))
    return {row.source: row for row in rows}


def failed_chunks(connection: Connection, document_id: str) -> dict[str, str]:
    """A document's failed chunks and their kinds of error; quarantined ones are not among them."""
    query = select(chunks.c.chunk_id, chunks.c.error_kind).where(
        chunks.c.document_id == document_id, chunks.c.state == ChunkState.FAILED.value
    )
    return {row.chunk_id: row.error_kind for row in connection.execute(query)}


def put(store: Store, connection: Connection, rows: Sequence[Json]) -> None:
    """Note what a scan saw; each row has every column."""
    if rows:
        insert = store.insert(watched_files)
        changed = {name: insert.excluded[name] for name in rows[0] if name != "source"}
        connection.execute(insert.on_conflict_do_update(index_elements=["source"], set_=changed), list(rows))


def note_outcome(connection: Connection, source: str, values: Json) -> None:
    """Note what became of a file that was handed to a worker (``error``; ``size``, ``mtime_ns`` of what was read)."""
    statement = update(watched_files).where(watched_files.c.source == source, watched_files.c.sent_at.is_not(None))
    connection.execute(statement.values(sent_at=None, **values))


def forget(connection: Connection, sources: Iterable[str]) -> None:
    """These files are gone."""
    given = [{"b_source": source} for source in sources]
    if given:
        connection.execute(delete(watched_files).where(watched_files.c.source == bindparam("b_source")), given)


def accept(connection: Connection, sources: Sequence[str]) -> int:
    """Speak of these refused files no more; they are looked at again when they change."""
    statement = update(watched_files).where(watched_files.c.source.in_(sources), watched_files.c.error != "")
    return connection.execute(statement.values(error="")).rowcount


def forget_folder(connection: Connection, folder: str) -> int:
    """The folder is not watched any more; its documents stay."""
    return connection.execute(delete(watched_files).where(watched_files.c.folder == folder)).rowcount


def refused(connection: Connection, folder: str | None = None) -> list[Row[Any]]:
    """Files that cannot be taken in, with ``error``."""
    query = select(watched_files).where(watched_files.c.error != "").order_by(watched_files.c.source)
    return list(connection.execute(query if folder is None else query.where(watched_files.c.folder == folder)))


def count(connection: Connection) -> dict[str, int]:
    """How many files are known in each watched folder."""
    query = select(watched_files.c.folder, func.count().label("files")).group_by(watched_files.c.folder)
    return {row.folder: row.files for row in connection.execute(query)}
