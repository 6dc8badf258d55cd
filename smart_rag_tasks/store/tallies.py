"""Counts that triggers keep (migration 0003): read in a time that does not depend on how many documents there are."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, Float, cast, delete, func, select

from .engine import Store
from .schema import counters, tallies

#: Entries added up in one transaction.
FOLD = 10_000

#: Name and label of a count, e.g. ``("documents", "completed")``.
Key = tuple[str, str]


def totals(connection: Connection) -> dict[Key, float]:
    """Every count as it is now."""
    found: dict[Key, float] = defaultdict(float)
    for name, label, value in connection.execute(select(counters.c.name, counters.c.label, counters.c.value)):
        found[name, label] += value
    grouped = select(tallies.c.name, tallies.c.label, func.sum(tallies.c.delta)).group_by(
        tallies.c.name, tallies.c.label
    )
    for name, label, delta in connection.execute(grouped):
        found[name, label] += delta
    return dict(found)


def labelled(found: dict[Key, float], name: str) -> dict[str, float]:
    """One count's values by label."""
    return {label: value for (each, label), value in found.items() if each == name}


def waiting(connection: Connection) -> bool:
    """Whether there is anything to add up."""
    return connection.execute(select(tallies.c.id).limit(1)).first() is not None


def fold(store: Store, connection: Connection, limit: int = FOLD) -> int:
    """Add up to ``limit`` entries to the counts; returns how many. Two at once take different entries."""
    delta = cast(tallies.c.delta, Float).label("delta")  # SQLite lets a text stand there: it counts as 0
    query = select(tallies.c.id, tallies.c.name, tallies.c.label, delta).order_by(tallies.c.id).limit(limit)
    rows = connection.execute(query.with_for_update(skip_locked=True)).all()
    sums: dict[Key, float] = defaultdict(float)
    for row in rows:
        sums[row.name, row.label] += row.delta
    for (name, label), total in sorted(sums.items()):  # one order for all: no deadlock
        insert = store.insert(counters).values(name=name, label=label, value=total)
        connection.execute(
            insert.on_conflict_do_update(index_elements=["name", "label"], set_={"value": counters.c.value + total})
        )
    ids = [row.id for row in rows]
    for start in range(0, len(ids), 500):
        connection.execute(delete(tallies).where(tallies.c.id.in_(ids[start : start + 500])))
    return len(rows)
