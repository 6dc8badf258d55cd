"""Statements that forget: each deletes up to ``limit`` rows and says how many went."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, String, delete, literal, select, tuple_

from ..models import TERMINAL
from ..names import RESCAN
from .schema import batches, documents, facts, outbox, runs, schedules, watched_files


def drop_runs(connection: Connection, before: float, limit: int) -> int:
    """Runs that ended before ``before``; a document's newest run stays."""
    # by the primary key: documents have no index on run_id
    newest = (
        select(documents.c.run_id)
        .where(documents.c.document_id == runs.c.document_id, documents.c.run_id == runs.c.run_id)
        .exists()
    )
    old = select(runs.c.run_id).where(runs.c.finished_at < before, runs.c.status.in_(TERMINAL), ~newest).limit(limit)
    return connection.execute(delete(runs).where(runs.c.run_id.in_(old))).rowcount


def drop_outbox(connection: Connection, before: float, limit: int) -> int:
    """Entries that could not be delivered since ``before``."""
    old = select(outbox.c.id).where(outbox.c.created_at < before, outbox.c.attempts > 0).limit(limit)
    return connection.execute(delete(outbox).where(outbox.c.id.in_(old))).rowcount


def drop_orphan_batches(connection: Connection, limit: int) -> int:
    """Batches whose run has ended or is gone."""
    live = select(runs.c.run_id).where(runs.c.run_id == batches.c.run_id, runs.c.status.not_in(TERMINAL)).exists()
    key: Any = tuple_(batches.c.run_id, batches.c.number)
    orphans = select(batches.c.run_id, batches.c.number).where(~live).limit(limit)
    return connection.execute(delete(batches).where(key.in_(orphans))).rowcount


def drop_unwatched_files(connection: Connection, limit: int) -> int:
    """What is known of files in folders that nobody watches any more."""
    name = literal("rescan:", String) + watched_files.c.folder
    watching = select(schedules.c.name).where(schedules.c.task == RESCAN, schedules.c.name == name).exists()
    orphans = select(watched_files.c.source).where(~watching).limit(limit)
    return connection.execute(delete(watched_files).where(watched_files.c.source.in_(orphans))).rowcount


def drop_facts(connection: Connection, prefix: str, before: float) -> int:
    """Facts whose names begin with ``prefix`` that have not changed since ``before``."""
    old = facts.c.name.startswith(prefix, autoescape=True) & (facts.c.updated_at < before)
    return connection.execute(delete(facts).where(old)).rowcount
