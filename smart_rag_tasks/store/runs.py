"""Statements on runs: reading, planning, counting, ending."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Row,
    String,
    Update,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from ..models import TERMINAL, ChunkState, Json, RunStatus
from .parameters import named, setting
from .schema import IS_OPEN, SHOWN, batches, chunks, documents, runs

#: Runs that one statement names: far below any database's limit of parameters.
_PARAMETERS = 500

# Hot statements are built once: building one costs five times as much as executing it.

_THIS = runs.c.run_id == bindparam("b_run_id")
_OPEN = runs.c.finished_at.is_(None)

_GET = (
    select(
        runs,
        documents.c.run_id.label("fence"),
        documents.c.title,
        documents.c.hint,
        documents.c.source,
        documents.c.language,
    )
    .join_from(runs, documents, documents.c.document_id == runs.c.document_id, isouter=True)
    .where(_THIS)
)


def get(connection: Connection, run_id: str) -> Row[Any] | None:
    """A run with its document's fence and title (``fence``, ``title``, ``hint``, ``source``), None if unknown."""
    return connection.execute(_GET, {"b_run_id": run_id}).first()


def newest_of(connection: Connection, document_id: str) -> Row[Any] | None:
    """The document's newest run, None if it has none."""
    query = select(runs).where(runs.c.document_id == document_id).order_by(runs.c.created_at.desc()).limit(1)
    return connection.execute(query).first()


def mark_published(connection: Connection, run_id: str, now: float) -> None:
    """The entry message was sent at ``now``."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(published_at=now))


def count_death(connection: Connection, run_id: str) -> int:
    """The entry message came back because its process died; returns how often so far."""
    statement = update(runs).where(runs.c.run_id == run_id).values(deaths=runs.c.deaths + 1)
    return int(connection.execute(statement.returning(runs.c.deaths)).scalar() or 0)


# -- planning


def fix_batch_size(connection: Connection, run_id: str, size: int) -> int:
    """Set the run's batch size unless it has one; returns the one that holds for every planner."""
    connection.execute(update(runs).where(runs.c.run_id == run_id, runs.c.batch_size == 0).values(batch_size=size))
    return int(connection.execute(select(runs.c.batch_size).where(runs.c.run_id == run_id)).scalar_one())


def page(connection: Connection, document_id: str, run_id: str, after: int, limit: int) -> list[Row[Any]]:
    """Up to ``limit`` chunks of the run whose position is above ``after``, in order."""
    parameters = {"b_document_id": document_id, "b_run_id": run_id, "b_after": after, "b_limit": limit}
    return list(connection.execute(_PAGE, parameters))


_OF_RUN = (chunks.c.document_id == bindparam("b_document_id"), chunks.c.run_id == bindparam("b_run_id"))

_PAGE = (
    select(*SHOWN, chunks.c.state, chunks.c.context, chunks.c.meta_key, chunks.c.meta)
    .where(*_OF_RUN, chunks.c.position > bindparam("b_after"))
    .order_by(chunks.c.position)
    .limit(bindparam("b_limit"))
)


def plannable(connection: Connection, run_id: str) -> str:
    """The status of a run that still waits for its plan, else ""; holds its row until the transaction ends."""
    row = connection.execute(_PLANNABLE, {"b_run_id": run_id}).first()
    if row is None or row.stage != "queued" or row.status in TERMINAL:
        return ""
    return str(row.status)


_PLANNABLE = select(runs.c.stage, runs.c.status).where(_THIS).with_for_update()


#: What another run failed with goes with its state; a chunk that stays failed keeps it.
_AFRESH = or_(*(bindparam("b_state", type_=String) == literal_column(f"'{state}'") for state in ("pending", "done")))
_ERROR_COLUMNS = ("error_kind", "error", "traceback")

_PLAN = (
    update(chunks)
    .where(
        chunks.c.document_id == bindparam("b_document_id"),
        chunks.c.chunk_id == bindparam("b_chunk_id"),
        chunks.c.run_id == bindparam("b_run_id"),
    )
    .values(
        state=bindparam("b_state"),
        batch=bindparam("b_batch"),
        context=bindparam("b_context"),
        **{name: case((_AFRESH, literal_column("''")), else_=chunks.c[name]) for name in _ERROR_COLUMNS},
    )
)


def plan_chunks(connection: Connection, document_id: str, run_id: str, plans: Iterable[Json]) -> None:
    """Write each chunk's ``state``, ``batch`` and ``context``."""
    rows = [
        {f"b_{name}": value for name, value in {"document_id": document_id, "run_id": run_id, **plan}.items()}
        for plan in plans
    ]
    if rows:
        connection.execute(_PLAN, rows)


def is_new(connection: Connection, document_id: str, run_id: str) -> bool:
    """Whether all chunks of the run lack metadata and wait for it, at positions 0, 1, 2, …"""
    first, last, places, count, unlike = connection.execute(
        _NEW, {"b_document_id": document_id, "b_run_id": run_id}
    ).one()
    return first == 0 and last == count - 1 and places == count and not unlike


_UNLIKE = or_(chunks.c.meta.is_not(None), chunks.c.state != ChunkState.PENDING.value)
_NEW = select(
    func.min(chunks.c.position),
    func.max(chunks.c.position),
    func.count(chunks.c.position.distinct()),
    func.count(),
    func.sum(case((_UNLIKE, 1), else_=0)),
).where(*_OF_RUN)


def number_chunks(connection: Connection, document_id: str, run_id: str, size: int, start: int, end: int) -> int:
    """Put the chunks at ``start`` to ``end - 1`` into batches of ``size``; returns how many there are."""
    parameters = {"b_document_id": document_id, "b_run_id": run_id, "b_size": size, "b_start": start, "b_end": end}
    return connection.execute(_NUMBER, parameters).rowcount


_NUMBER = (
    update(chunks)
    .where(*_OF_RUN, chunks.c.position >= bindparam("b_start"), chunks.c.position < bindparam("b_end"))
    .values(batch=chunks.c.position // bindparam("b_size", type_=Integer))
)


def planned(connection: Connection, run_id: str, values: Json) -> bool:
    """Queued → generation, once: False for whoever comes second."""
    return connection.execute(_planned(tuple(values)), {"b_run_id": run_id, **named(values)}).rowcount == 1


@cache
def _planned(names: tuple[str, ...]) -> Update:
    return update(runs).where(_THIS, runs.c.stage == "queued", _OPEN).values(stage="generation", **setting(names))


def set_document(connection: Connection, document_id: str, run_id: str, values: Json) -> bool:
    """Write to the document, if ``run_id`` is still its newest run."""
    parameters = {"b_document_id": document_id, "b_run_id": run_id, **named(values)}
    return connection.execute(_set_document(tuple(values)), parameters).rowcount == 1


@cache
def _set_document(names: tuple[str, ...]) -> Update:
    fence = documents.c.run_id == bindparam("b_run_id")
    return update(documents).where(documents.c.document_id == bindparam("b_document_id"), fence).values(setting(names))


def insert_batches(connection: Connection, rows: list[Json]) -> None:
    """New batches."""
    if rows:
        connection.execute(batches.insert(), rows)


# -- progress and end


def add_progress(connection: Connection, run_id: str, done: int, failed: int, now: float) -> Row[Any] | None:
    """Count finished chunks in; the row (with ``told``: this caller may send a PROGRESS update) or None."""
    parameters = {"b_run_id": run_id, "b_done": done, "b_failed": failed, "b_now": now, "b_before": now - 1.0}
    return connection.execute(_PROGRESS, parameters).first()


_MAY_TELL = or_(runs.c.progress_at.is_(None), runs.c.progress_at < bindparam("b_before"))

_PROGRESS = (
    update(runs)
    .where(_THIS, _OPEN)
    .values(
        done=runs.c.done + bindparam("b_done"),
        failed=runs.c.failed + bindparam("b_failed"),
        progress_at=case((_MAY_TELL, bindparam("b_now")), else_=runs.c.progress_at),
    )
    .returning(runs.c.done, runs.c.failed, runs.c.unchanged, runs.c.total, runs.c.progress_at)
)


def has_open_batches(connection: Connection, run_id: str) -> bool:
    """Whether any batch of the run is not done."""
    return connection.execute(_OPEN_BATCH, {"b_run_id": run_id}).first() is not None


_OPEN_BATCH = select(batches.c.number).where(batches.c.run_id == bindparam("b_run_id"), IS_OPEN).limit(1)


def count_states(connection: Connection, document_id: str, run_id: str) -> Mapping[str, int]:
    """How many chunks of the run's plan are in each state; one that came alone meanwhile is its own task's matter."""
    parameters = {"b_document_id": document_id, "b_run_id": run_id}
    return dict(map(tuple, connection.execute(_STATES, parameters)))


_PLANNED = or_(chunks.c.batch.is_not(None), chunks.c.state != ChunkState.PENDING.value)
_STATES = select(chunks.c.state, func.count()).where(*_OF_RUN, _PLANNED).group_by(chunks.c.state)


def finished_chunks(connection: Connection, document_id: str, run_id: str) -> Iterator[Row[Any]]:
    """The run's chunks that have metadata, in order, read in pages."""
    rows: Iterable[Row[Any]] = connection.execute(_FINISHED, {"b_document_id": document_id, "b_run_id": run_id})
    yield from rows


_FINISHED = (
    select(*SHOWN, chunks.c.meta, chunks.c.tokens)
    .where(*_OF_RUN, chunks.c.state == ChunkState.DONE.value)
    .order_by(chunks.c.position)
    .execution_options(yield_per=500)
)


def end(connection: Connection, run_id: str, values: Json) -> Row[Any] | None:
    """The transition to a terminal status, once: the run's row after it, None for whoever comes second.

    ``values`` hold ``finished_at``: a run that has it is terminal.
    """
    return connection.execute(_end(tuple(values)), {"b_run_id": run_id, **named(values)}).first()


@cache
def _end(names: tuple[str, ...]) -> ReturningUpdate[Any]:
    return update(runs).where(_THIS, _OPEN).values(stage="done", **setting(names)).returning(runs)


def drop_left_over_chunks(connection: Connection, document_id: str, run_id: str) -> list[str]:
    """Delete the document's chunks that the run does not list; returns their ids."""
    return list(connection.execute(_LEFT_OVER, {"b_document_id": document_id, "b_run_id": run_id}).scalars())


_LEFT_OVER = (
    delete(chunks)
    .where(chunks.c.document_id == bindparam("b_document_id"), chunks.c.run_id != bindparam("b_run_id"))
    .returning(chunks.c.chunk_id)
)


def set_status(connection: Connection, run_id: str, status: str) -> None:
    """Pause or resume a run that has not ended."""
    statement = update(runs).where(runs.c.run_id == run_id, runs.c.status.not_in(TERMINAL))
    connection.execute(statement.values(status=status))


def forget_messages(connection: Connection, run_id: str) -> None:
    """Take the run's messages for lost: the next sweep sends them."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(published_at=0.0, redrives=0))
    statement = update(batches).where(batches.c.run_id == run_id, batches.c.state == "open")
    connection.execute(statement.values(published_at=0.0, redrives=0))


def paused(connection: Connection, run_ids: Sequence[str]) -> list[str]:
    """The documents of those of these runs that are paused."""
    found: list[str] = []
    for start in range(0, len(run_ids), _PARAMETERS):
        query = select(runs.c.document_id).where(runs.c.run_id.in_(run_ids[start : start + _PARAMETERS]))
        found += connection.execute(query.where(runs.c.status == RunStatus.PAUSED)).scalars()
    return found


def totals(connection: Connection, run_ids: Sequence[str]) -> tuple[int, int, int]:
    """Of these runs: chunks done, chunks in all, and how many have not ended."""
    done = total = still_open = 0
    for start in range(0, len(run_ids), _PARAMETERS):
        query = select(
            func.coalesce(func.sum(runs.c.done + runs.c.failed + runs.c.unchanged), 0),
            func.coalesce(func.sum(runs.c.total), 0),
            func.coalesce(func.sum(case((runs.c.status.in_(TERMINAL), 0), else_=1)), 0),
        ).where(runs.c.run_id.in_(run_ids[start : start + _PARAMETERS]))
        row = connection.execute(query).one()
        done, total, still_open = done + int(row[0]), total + int(row[1]), still_open + int(row[2])
    return done, total, still_open
