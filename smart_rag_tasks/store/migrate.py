"""Bringing a store to the schema of this version, once, whoever comes first."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from ..errors import InvalidSettings
from .engine import Store

#: The newest revision in ``migrations/versions``; a test compares.
HEAD = "0005"

#: Any number that is ours alone: PostgreSQL's advisory lock for migrations.
_LOCK = 727_274_001

_MIGRATIONS = Path(__file__).parent / "migrations"


def open_store(url: str, *, full_sync: bool = False) -> Store:
    """The store at ``url``, its schema made or upgraded; InvalidSettings when it is newer than this program."""
    store = Store(url, full_sync=full_sync)
    with store.read() as connection:
        found = revision(connection)
    if found != HEAD:
        upgrade(store)
    return store


def revision(connection: Connection) -> str | None:
    """The schema's revision, None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(store: Store) -> None:
    """Run the missing migrations in one transaction, under a lock."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with store.write() as connection, store.unlimited(connection):
        if not store.is_sqlite:  # SQLite's BEGIN IMMEDIATE is the lock already
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        found = revision(connection)
        if found is not None and found not in known:
            raise InvalidSettings(
                f"The store's schema ({found}) is newer than this program ({HEAD}): upgrade smart-rag-tasks."
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
