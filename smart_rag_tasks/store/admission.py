"""Statements that take a submission into the store, all in the caller's one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Executable, Row, Update, bindparam, delete, func, select, update

from ..models import WITHOUT_METADATA, Chunk, ChunkState, Json
from .engine import Insert, Store
from .parameters import named, setting
from .schema import batches, chunks, documents, runs


def lock_document(store: Store, connection: Connection, values: Json) -> Row[Any]:
    """The document's row, made with ``values`` if it is new, held by this transaction until it ends."""
    connection.execute(_insert_document(store.insert), values)
    return connection.execute(_LOCK, {"b_document_id": values["document_id"]}).one()


# Hot statements are built once a dialect: building one costs five times as much as executing it.


@cache
def _insert_document(insert: Insert) -> Executable:
    return insert(documents).on_conflict_do_nothing(index_elements=["document_id"])


def hold_document(connection: Connection, document_id: str) -> None:
    """Hold the document's row until the transaction ends.

    Whoever writes to a document and its run begins with this, as a submission does: else each waits for the other.
    A writer of SQLite's holds the whole store anyway.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(_LOCK, {"b_document_id": document_id})


_LOCK = select(documents).where(documents.c.document_id == bindparam("b_document_id")).with_for_update()


def open_run(connection: Connection, document_id: str) -> Row[Any] | None:
    """The document's run that has not ended, if there is one."""
    return connection.execute(_OPEN_RUN, {"b_document_id": document_id}).first()


_OPEN_RUN = (
    select(runs)
    .where(runs.c.document_id == bindparam("b_document_id"), runs.c.finished_at.is_(None))
    .order_by(runs.c.created_at.desc())
    .limit(1)
)


def insert_run(connection: Connection, values: Json) -> None:
    """A new run."""
    connection.execute(_INSERT_RUN, values)


_INSERT_RUN = runs.insert()


def point_document(connection: Connection, document_id: str, values: Json) -> None:
    """Turn the fence: the document's newest run is the one in ``values``."""
    connection.execute(_point_document(tuple(values)), {"b_document_id": document_id, **named(values)})


@cache
def _point_document(names: tuple[str, ...]) -> Update:
    return update(documents).where(documents.c.document_id == bindparam("b_document_id")).values(setting(names))


#: SQLite takes some 32,000 parameters in a statement.
IDS_IN_A_STATEMENT = 5000


def batched(items: Iterable[str], size: int) -> Iterator[list[str]]:
    """The items in lists of at most ``size``."""
    rest = iter(items)
    while page := list(islice(rest, size)):
        yield page


#: A row of ``chunks`` as a new run wants it; what metadata is there stays until better is written.
_FRESH: Json = {"batch": None, "state": ChunkState.PENDING.value, "attempts": 0, "marks": 0}


@cache
def _upsert_chunks(insert: Insert) -> Executable:
    into = insert(chunks)
    taken = ("run_id", "position", "text", "section_path", "page", "extra", *_FRESH)
    return into.on_conflict_do_update(
        index_elements=["document_id", "chunk_id"], set_={name: into.excluded[name] for name in taken}
    )


def upsert_chunks(store: Store, connection: Connection, document_id: str, run_id: str, given: Sequence[Chunk]) -> None:
    """Store the chunks' texts for ``run_id``; a chunk that is there keeps its metadata for now."""
    if not given:
        return
    connection.execute(
        _upsert_chunks(store.insert),
        [
            {
                "document_id": document_id,
                "chunk_id": chunk.chunk_id,
                "run_id": run_id,
                "position": chunk.position,
                "text": chunk.text,
                "section_path": list(chunk.section_path),
                "page": chunk.page,
                "extra": dict(chunk.metadata),
                **_FRESH,
            }
            for chunk in given
        ],
    )


def adopt_chunks(
    connection: Connection, document_id: str, run_id: str, *, listed_by: str, only: Iterable[str] | None = None
) -> int:
    """Let ``run_id`` work on the chunks that ``listed_by``, the document's newest run so far, lists; returns how many.

    What an older run lists alone was removed by a newer submission: it stays that, and goes at the end.
    ``only``: of those that ended without metadata, these are tried again, the others stay as they are.
    """
    taken = _of_run(document_id, listed_by).values(run_id=run_id, batch=None)
    if only is None:
        return connection.execute(taken.values(_FRESH)).rowcount
    count = connection.execute(taken).rowcount
    statement = _of_run(document_id, run_id).values(_FRESH)
    connection.execute(statement.where(chunks.c.state.not_in(WITHOUT_METADATA)))
    for page in batched(only, IDS_IN_A_STATEMENT):
        connection.execute(statement.where(chunks.c.chunk_id.in_(page)))
    return count


def _of_run(document_id: str, run_id: str) -> Update:
    return update(chunks).where(chunks.c.document_id == document_id, chunks.c.run_id == run_id)


def list_chunk(connection: Connection, document_id: str, chunk_id: str, run_id: str, position: int) -> None:
    """Let the run list a chunk that was removed and is still there, with what is known of it."""
    statement = update(chunks).where(chunks.c.document_id == document_id, chunks.c.chunk_id == chunk_id)
    connection.execute(statement.values(run_id=run_id, position=position, batch=None))


def next_position(connection: Connection, document_id: str, run_id: str) -> int:
    """The place after the last chunk that the run lists."""
    query = select(func.max(chunks.c.position)).where(chunks.c.document_id == document_id, chunks.c.run_id == run_id)
    last = connection.execute(query).scalar()
    return 0 if last is None else int(last) + 1


def count_chunks(connection: Connection, document_id: str, run_id: str) -> int:
    """How many chunks the run lists."""
    query = select(func.count()).where(chunks.c.document_id == document_id, chunks.c.run_id == run_id)
    return int(connection.execute(query).scalar_one())


def drop_batches(connection: Connection, run_id: str) -> None:
    """Forget a run's batches: whoever gets a message of it finds nothing to do."""
    connection.execute(_DROP_BATCHES, {"b_run_id": run_id})


_DROP_BATCHES = delete(batches).where(batches.c.run_id == bindparam("b_run_id"))


def set_callbacks(connection: Connection, run_id: str, callbacks: list[Json | str]) -> None:
    """Replace a run's list of those who are told of its end."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(callbacks=callbacks))
