"""Counts that the database keeps by itself: what is counted, and the triggers that count.

A trigger appends to ``tallies`` and touches no row that anybody else writes, so counting makes no transaction wait;
``store.tallies`` adds the entries up. The same expressions serve SQLite and PostgreSQL.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

#: Upper limits of the histograms' buckets, seconds; ``store.tallies`` and the exporter read them back from the labels.
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

_ENDED = "('completed','completed_with_errors','failed','cancelled','empty')"


class Trigger(NamedTuple):
    """Entries (name, label, delta: SQL expressions on OLD and NEW) that an event on a table makes."""

    name: str
    table: str
    event: str
    entries: Sequence[tuple[str, str, str]]
    when: str = ""


def _open(row: str) -> str:
    return f"(CASE WHEN {row}.status IN {_ENDED} THEN 0 ELSE {row}.total-{row}.done-{row}.failed-{row}.unchanged END)"


def _grown(column: str) -> str:
    return f"(CASE WHEN NEW.{column} > OLD.{column} THEN NEW.{column} - OLD.{column} ELSE 0 END)"


def _bucket(label: str, seconds: str) -> str:
    """The label with the first bucket that holds ``seconds``, e.g. ``bulk|2.5``."""
    cases = " ".join(f"WHEN {seconds} <= {limit} THEN '|{limit}'" for limit in BUCKETS)
    return f"{label} || (CASE {cases} ELSE '|+Inf' END)"


def triggers(now: str) -> list[Trigger]:
    """All of them; ``now`` is the dialect's expression for seconds since the epoch."""
    lasted = "(NEW.finished_at - NEW.created_at)"
    worked = f"({now} - NEW.started_at)"
    return [
        Trigger("tally_document_new", "documents", "INSERT", [("'documents'", "NEW.status", "1")]),
        Trigger("tally_document_gone", "documents", "DELETE", [("'documents'", "OLD.status", "-1")]),
        Trigger(
            "tally_document_status",
            "documents",
            "UPDATE OF status",
            [("'documents'", "OLD.status", "-1"), ("'documents'", "NEW.status", "1")],
            "OLD.status <> NEW.status",
        ),
        Trigger(
            "tally_run_new",
            "runs",
            "INSERT",
            [("'runs_submitted'", "NEW.lane", "1"), ("'chunks_waiting'", "''", _open("NEW"))],
            f"NEW.status NOT IN {_ENDED}",
        ),
        Trigger("tally_run_gone", "runs", "DELETE", [("'chunks_waiting'", "''", f"-{_open('OLD')}")]),
        Trigger(
            "tally_run_counts",
            "runs",
            "UPDATE OF status, total, done, failed, unchanged",
            [
                ("'chunks_waiting'", "''", f"{_open('NEW')} - {_open('OLD')}"),
                ("'chunks_settled'", "'generated'", _grown("done")),
                ("'chunks_settled'", "'failed'", _grown("failed")),
                ("'chunks_settled'", "'unchanged'", _grown("unchanged")),
            ],
        ),
        Trigger(
            "tally_run_ended",
            "runs",
            "UPDATE OF status",
            [
                ("'runs_ended'", "NEW.status", "1"),
                ("'run_seconds_sum'", "NEW.lane", lasted),
                ("'run_seconds'", _bucket("NEW.lane", lasted), "1"),
            ],
            f"OLD.status NOT IN {_ENDED} AND NEW.status IN {_ENDED}",
        ),
        Trigger("tally_run_redrives", "runs", "UPDATE OF redrives", [("'redrives'", "'run'", _grown("redrives"))]),
        Trigger("tally_run_deaths", "runs", "UPDATE OF deaths", [("'deaths'", "'run'", _grown("deaths"))]),
        Trigger(
            "tally_batch_done",
            "batches",
            "UPDATE OF state",
            [
                ("'batch_seconds_sum'", "NEW.queue", worked),
                ("'batch_seconds'", _bucket("NEW.queue", worked), "1"),
            ],
            "OLD.state = 'open' AND NEW.state = 'done' AND NEW.started_at IS NOT NULL",
        ),
        Trigger(
            "tally_batch_redrives", "batches", "UPDATE OF redrives", [("'redrives'", "'batch'", _grown("redrives"))]
        ),
        Trigger("tally_batch_deaths", "batches", "UPDATE OF deaths", [("'deaths'", "'batch'", _grown("deaths"))]),
        Trigger(
            "tally_chunk_tries",
            "chunks",
            "UPDATE OF attempts",
            [
                ("'chunk_errors'", "NEW.error_kind", "1"),
                ("'chunk_retries'", "NEW.error_kind", "CASE WHEN NEW.state = 'pending' THEN 1 ELSE 0 END"),
                ("'chunks_quarantined'", "''", "CASE WHEN NEW.state = 'quarantined' THEN 1 ELSE 0 END"),
            ],
            "NEW.attempts > OLD.attempts",
        ),
        Trigger(
            "tally_chunk_tokens",
            "chunks",
            "UPDATE OF generated_at",
            [("'tokens'", "''", "NEW.tokens")],
            "NEW.tokens > 0 AND NEW.generated_at IS NOT NULL AND NEW.generated_at <> COALESCE(OLD.generated_at, 0)",
        ),
    ]


def _inserts(trigger: Trigger) -> str:
    return " ".join(
        f"INSERT INTO tallies (name, label, delta) SELECT {name}, {label}, {delta} WHERE ({delta}) <> 0;"
        for name, label, delta in trigger.entries
    )


def _for_sqlite(trigger: Trigger) -> list[str]:
    when = f"WHEN {trigger.when} " if trigger.when else ""
    return [
        f"CREATE TRIGGER {trigger.name} AFTER {trigger.event} ON {trigger.table} {when}BEGIN {_inserts(trigger)} END"
    ]


def _for_postgresql(trigger: Trigger) -> list[str]:
    when = f"WHEN ({trigger.when}) " if trigger.when else ""
    return [
        f"CREATE FUNCTION {trigger.name}() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {_inserts(trigger)} RETURN NULL; END $$",
        f"CREATE TRIGGER {trigger.name} AFTER {trigger.event} ON {trigger.table}"
        f" FOR EACH ROW {when}EXECUTE FUNCTION {trigger.name}()",
    ]


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=192), nullable=False),
        sa.Column("delta", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=192), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label"),
    )
    owned = sa.text("owner IS NOT NULL")
    op.create_index("batches_leased", "batches", ["lease_until"], sqlite_where=owned, postgresql_where=owned)
    op.execute("INSERT INTO counters SELECT 'documents', status, count(*) FROM documents GROUP BY status")
    op.execute(
        "INSERT INTO counters SELECT 'chunks_waiting', '', COALESCE(sum(total - done - failed - unchanged), 0)"  # noqa: S608
        f" FROM runs WHERE status NOT IN {_ENDED}"
    )
    sqlite = op.get_bind().dialect.name == "sqlite"
    now = "((julianday('now') - 2440587.5) * 86400.0)" if sqlite else "extract(epoch FROM clock_timestamp())"
    for trigger in triggers(now):
        for statement in _for_sqlite(trigger) if sqlite else _for_postgresql(trigger):
            op.execute(sa.text(statement.replace(":", "\\:")))


def downgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    for trigger in triggers("0"):
        op.execute(f"DROP TRIGGER {trigger.name}" + ("" if sqlite else f" ON {trigger.table}"))
        if not sqlite:
            op.execute(f"DROP FUNCTION {trigger.name}()")
    op.drop_index("batches_leased", table_name="batches")
    op.drop_table("counters")
    op.drop_table("tallies")
