"""Small facts that all processes share, by name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from .engine import Store
from .schema import facts


def get(connection: Connection, name: str) -> Any:
    """The fact's value, None when it was never set."""
    return connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar()


def put(store: Store, connection: Connection, name: str, value: Any, now: float) -> None:
    """Set the fact."""
    insert = store.insert(facts).values(name=name, value=value, updated_at=now)
    connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"value": value, "updated_at": now}))
