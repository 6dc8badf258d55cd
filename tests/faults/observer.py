"""What really happened, from two sources that the product cannot touch up: a ledger of the generator's calls, kept
outside store and Redis, and triggers in the store that note each write of metadata.

A *double* is a chunk that was generated after its metadata had been written, or whose metadata was written twice in
one run. A *repeat* is a chunk generated again before that: the unwritten work of a process that died.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from smart_rag_tasks.store import Store

_TABLE = "CREATE TABLE observed (document_id TEXT, chunk_id TEXT, run_id TEXT, at DOUBLE PRECISION)"
_SQLITE = (
    _TABLE,
    """CREATE TRIGGER observe AFTER UPDATE OF generated_at ON chunks
       WHEN NEW.generated_at IS NOT NULL AND NEW.generated_at IS NOT OLD.generated_at BEGIN
       INSERT INTO observed VALUES
           (NEW.document_id, NEW.chunk_id, NEW.run_id, (julianday('now') - 2440587.5) * 86400.0);
       END""",
)
_POSTGRESQL = (
    _TABLE,
    """CREATE FUNCTION observe() RETURNS trigger AS $$ BEGIN
       INSERT INTO observed VALUES
           (NEW.document_id, NEW.chunk_id, NEW.run_id, extract(epoch FROM clock_timestamp()));
       RETURN NEW; END $$ LANGUAGE plpgsql""",
    """CREATE TRIGGER observe AFTER UPDATE OF generated_at ON chunks FOR EACH ROW
       WHEN (NEW.generated_at IS NOT NULL AND NEW.generated_at IS DISTINCT FROM OLD.generated_at)
       EXECUTE FUNCTION observe()""",
)

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one document, or of all."""

    #: Chunks that the store lists.
    chunks: int
    #: By state.
    states: dict[str, int]
    #: Calls of the generator.
    calls: int
    doubles: int
    repeats: int


def observe(store: Store) -> None:
    """Put the triggers into a store."""
    with store.write() as connection:
        for statement in _SQLITE if store.is_sqlite else _POSTGRESQL:
            connection.execute(text(statement))


def count(store: Store, ledger: Path, document_id: str | None = None) -> Counts:
    """What became of a document's chunks, or of all."""
    where = "" if document_id is None else " WHERE document_id = :document_id"
    with store.read() as connection:
        states = _states(connection, where, document_id)
        writes = _writes(connection, where, document_id)
    calls = {key: at for key, at in starts(ledger).items() if document_id in (None, key[0])}
    doubles = sum(_doubles(calls.get(key, []), written) for key, written in writes.items())
    total = sum(map(len, calls.values()))
    again = total - len(calls)
    return Counts(sum(states.values()), states, total, doubles, max(0, again - doubles))


def _doubles(calls: list[float], written: list[tuple[str, float]]) -> int:
    first = min(at for _, at in written)
    return len(written) - len({run_id for run_id, _ in written}) + sum(1 for at in calls if at > first)


def starts(ledger: Path) -> dict[Key, list[float]]:
    """When the generator began with each chunk, in seconds since the epoch."""
    found: dict[Key, list[float]] = defaultdict(list)
    for line in ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else ():
        document_id, chunk_id, _, at = line.split("\t")
        found[document_id, chunk_id].append(float(at))
    return dict(found)


def _states(connection: Connection, where: str, document_id: str | None) -> dict[str, int]:
    query = text(f"SELECT state, count(*) FROM chunks{where} GROUP BY state")
    return {str(state): int(number) for state, number in connection.execute(query, _given(document_id))}


def _writes(connection: Connection, where: str, document_id: str | None) -> dict[Key, list[tuple[str, float]]]:
    found: dict[Key, list[tuple[str, float]]] = defaultdict(list)
    query = text(f"SELECT document_id, chunk_id, run_id, at FROM observed{where}")
    for row in connection.execute(query, _given(document_id)):
        found[row.document_id, row.chunk_id].append((row.run_id, float(row.at)))
    return found


def _given(document_id: str | None) -> dict[str, Any]:
    return {} if document_id is None else {"document_id": document_id}
