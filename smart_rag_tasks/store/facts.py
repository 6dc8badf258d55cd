"""Small facts that all processes share, by name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, select

from .engine import Store
from .schema import facts


def get(connection: Connection, name: str) -> Any:
    """The fact's value, None when it was never set."""
    return connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar()


def put(store: Store, connection: Connection, name: str, value: Any, now: float) -> None:
    """Set the fact."""
    insert = store.insert(facts).values(name=name, value=value, updated_at=now)
    connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"value": value, "updated_at": now}))


def hold(store: Store, connection: Connection, name: str, initial: Any, now: float) -> Any:
    """The fact's value, ``initial`` if it was never set; its row is held until the transaction ends."""
    insert = store.insert(facts).values(name=name, value=initial, updated_at=now)
    connection.execute(insert.on_conflict_do_nothing(index_elements=["name"]))
    query = select(facts.c.value).where(facts.c.name == name).with_for_update()
    return connection.execute(query).scalar_one()


def remove(connection: Connection, name: str) -> None:
    """Forget the fact."""
    connection.execute(delete(facts).where(facts.c.name == name))


def starting_with(connection: Connection, prefix: str) -> dict[str, Any]:
    """All facts whose names begin with ``prefix``, by what follows it."""
    query = select(facts.c.name, facts.c.value).where(facts.c.name.startswith(prefix, autoescape=True))
    return {name.removeprefix(prefix): value for name, value in connection.execute(query)}
