"""Statements on batches: the lease, the chunks in a batch, and the writing of what was generated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, String, bindparam, func, literal_column, select, text, update

from ..models import ChunkState, Json
from .engine import Store
from .schema import IS_OPEN, SHOWN, batches, chunks, documents, runs


def look(connection: Connection, run_id: str, number: int) -> Row[Any] | None:
    """A batch with what its work needs of run and document (the ``fence`` is the newest run); None if it is gone."""
    return connection.execute(_LOOK, {"b_run_id": run_id, "b_number": number}).first()


_LOOK = (
    select(
        batches,
        runs.c.status,
        runs.c.document_id,
        runs.c.generator,
        runs.c.options,
        runs.c.force,
        documents.c.run_id.label("fence"),
        documents.c.title,
        documents.c.language,
        documents.c.source,
    )
    .join(runs, runs.c.run_id == batches.c.run_id)
    .join(documents, documents.c.document_id == runs.c.document_id, isouter=True)
    .where(batches.c.run_id == bindparam("b_run_id"), batches.c.number == bindparam("b_number"))
)


def take_lease(connection: Connection, seen: Row[Any], *, owner: str, until: float, now: float, died: bool) -> bool:
    """Become the owner, if nobody did since ``seen`` was read."""
    parameters = {
        "b_run_id": seen.run_id,
        "b_number": seen.number,
        "b_state": seen.state,
        "b_seen_owner": seen.owner,
        "b_seen_deaths": seen.deaths,
        "b_owner": owner,
        "b_until": until,
        "b_now": now,
        "b_deaths": seen.deaths + died,
    }
    return connection.execute(_TAKE, parameters).rowcount == 1


_THIS = (batches.c.run_id == bindparam("b_run_id"), batches.c.number == bindparam("b_number"))

_TAKE = (
    update(batches)
    .where(
        *_THIS,
        batches.c.state == bindparam("b_state"),
        batches.c.owner.is_not_distinct_from(bindparam("b_seen_owner", type_=String)),
        batches.c.deaths == bindparam("b_seen_deaths"),
    )
    .values(
        owner=bindparam("b_owner"),
        lease_until=bindparam("b_until"),
        started_at=bindparam("b_now"),
        deaths=bindparam("b_deaths"),
        due_at=None,
    )
)


def insert_step(store: Store, connection: Connection, run_id: str, number: int, deaths: int) -> None:
    """A row for the lease of a run's planning or end (``number`` below 0), unless there is one."""
    values = {"run_id": run_id, "number": number, "state": "step", "queue": "", "deaths": deaths, "redrives": 0}
    insert = store.insert(batches).values(values)
    connection.execute(insert.on_conflict_do_nothing(index_elements=["run_id", "number"]))


def count_failure(connection: Connection, run_id: str, number: int, *, due_at: float | None) -> int:
    """The work broke off with an error of its own; the lease is given back. Returns deaths and failures so far."""
    statement = update(batches).where(batches.c.run_id == run_id, batches.c.number == number)
    values = {"owner": None, "lease_until": None, "due_at": due_at, "deaths": batches.c.deaths + 1}
    return int(connection.execute(statement.values(values).returning(batches.c.deaths)).scalar() or 0)


def renew_lease(connection: Connection, run_id: str, number: int, *, owner: str, until: float) -> bool:
    """Extend the lease; False when it is not ours any more or the run was cancelled or superseded."""
    # by the primary keys: documents have no index on run_id, and leases are renewed often
    its_document = select(runs.c.document_id).where(runs.c.run_id == run_id).scalar_subquery()
    fence = (
        select(documents.c.run_id).where(documents.c.document_id == its_document, documents.c.run_id == run_id).exists()
    )
    statement = update(batches).where(
        batches.c.run_id == run_id, batches.c.number == number, batches.c.owner == owner, fence
    )
    return connection.execute(statement.values(lease_until=until)).rowcount == 1


def close(connection: Connection, run_id: str, number: int, *, owner: str) -> None:
    """The batch is done."""
    connection.execute(_CLOSE, {"b_run_id": run_id, "b_number": number, "b_owner": owner})


_CLOSE = (
    update(batches).where(*_THIS, batches.c.owner == bindparam("b_owner")).values(
        state="done", owner=None, lease_until=None
    )
)  # fmt: skip


def give_back(connection: Connection, run_id: str, number: int, *, owner: str, due_at: float | None) -> None:
    """Give the lease back with work left; ``due_at``: not before then."""
    statement = update(batches).where(batches.c.run_id == run_id, batches.c.number == number, batches.c.owner == owner)
    connection.execute(statement.values(owner=None, lease_until=None, due_at=due_at))


def pending_chunks(connection: Connection, document_id: str, run_id: str, number: int) -> list[Row[Any]]:
    """The batch's chunks that still need metadata, in order."""
    parameters = {"b_document_id": document_id, "b_run_id": run_id, "b_number": number}
    return list(connection.execute(_PENDING, parameters))


_PENDING = (
    select(*SHOWN, chunks.c.attempts, chunks.c.marks)
    .where(
        chunks.c.document_id == bindparam("b_document_id"),
        chunks.c.batch == bindparam("b_number"),
        chunks.c.run_id == bindparam("b_run_id"),
        chunks.c.state == ChunkState.PENDING.value,
    )
    .order_by(chunks.c.position)
)


def generated_before(connection: Connection, keys: Sequence[str]) -> dict[str, Json]:
    """Metadata that some chunk has for these cache keys: nothing is generated twice."""
    rows = connection.execute(_known(connection.dialect.name), {"b_keys": json.dumps(keys)})
    return {row.key: row.meta for row in rows if row.meta is not None}


@cache
def _known(dialect: str) -> Select[Any]:
    """Of each key one chunk, however many there are: a licence may stand in every document."""
    given: Any = bindparam("b_keys", type_=String)
    sqlite = dialect == "sqlite"
    each = func.json_each(given) if sqlite else func.json_array_elements_text(given.op("::")(text("json")))
    key = each.table_valued("value", name="wanted").c.value
    one = select(chunks.c.meta).where(chunks.c.meta_key == key, chunks.c.meta.is_not(None)).limit(1)
    return select(key.label("key"), one.scalar_subquery().label("meta"))


def mark(connection: Connection, document_id: str, chunk_id: str, run_id: str) -> None:
    """Note, before a chunk is tried, that it is: the mark names the guilty if the process dies."""
    statement = update(chunks).where(
        chunks.c.document_id == document_id, chunks.c.chunk_id == chunk_id, chunks.c.run_id == run_id
    )
    connection.execute(statement.values(marks=chunks.c.marks + 1))


_WHERE = (
    chunks.c.document_id == bindparam("b_document_id"),
    chunks.c.chunk_id == bindparam("b_chunk_id"),
    chunks.c.run_id == bindparam("b_run_id"),
    chunks.c.state == ChunkState.PENDING.value,
)

#: Constants that are not bound anew for each row.
_ZERO: Any = literal_column("0")
_NOTHING: Any = literal_column("''")

_DONE_COLUMNS = ("meta", "meta_key", "context", "generator", "fingerprint", "generated_at", "tokens")
_DONE = (
    update(chunks)
    .where(*_WHERE)
    .values(
        {name: bindparam(f"b_{name}") for name in _DONE_COLUMNS}
        | {"state": literal_column(f"'{ChunkState.DONE.value}'"), "marks": _ZERO}
        | {"error_kind": _NOTHING, "error": _NOTHING, "traceback": _NOTHING}
    )
)

_FAILED_COLUMNS = ("state", "attempts", "error_kind", "error", "traceback")
_FAILED = (
    update(chunks).where(*_WHERE).values({name: bindparam(f"b_{name}") for name in _FAILED_COLUMNS} | {"marks": 0})
)


def write_done(connection: Connection, rows: Iterable[Json]) -> int:
    """Write metadata of pending chunks of the run; returns how many took it (a second writer writes nothing)."""
    return _write(connection, _DONE, rows)


def write_failed(connection: Connection, rows: Iterable[Json]) -> int:
    """Write errors of pending chunks of the run; returns how many took it."""
    return _write(connection, _FAILED, rows)


def _write(connection: Connection, statement: Any, rows: Iterable[Json]) -> int:
    parameters = [{f"b_{name}": value for name, value in row.items()} for row in rows]
    return connection.execute(statement, parameters).rowcount if parameters else 0


def any_owned_by(connection: Connection, owners: Sequence[str]) -> bool:
    """Whether one of these processes holds a lease."""
    query = select(batches.c.number).where(batches.c.owner.in_(owners), batches.c.state != "done").limit(1)
    return connection.execute(query).first() is not None


def numbers_open(connection: Connection, run_id: str) -> list[int]:
    """The run's batches that are not done."""
    query = select(batches.c.number).where(batches.c.run_id == run_id, IS_OPEN)
    return list(connection.execute(query.order_by(batches.c.number)).scalars())


def mark_published(connection: Connection, run_id: str, now: float) -> None:
    """Messages for all open batches of the run go out at ``now``."""
    statement = update(batches).where(batches.c.run_id == run_id, IS_OPEN)
    connection.execute(statement.values(published_at=now))
