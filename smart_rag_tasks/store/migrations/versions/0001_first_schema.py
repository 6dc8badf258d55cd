"""First schema.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("queue", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=256), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=True),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=True),
        sa.Column("published_at", sa.Float(), nullable=True),
        sa.Column("started_at", sa.Float(), nullable=True),
        sa.Column("redrives", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "number"),
    )
    op.create_index("batches_open", "batches", ["state", "published_at"], unique=False)
    op.create_index("batches_started", "batches", ["queue", "started_at"], unique=False)
    op.create_table(
        "chunks",
        sa.Column("document_id", sa.String(length=512), nullable=False),
        sa.Column("chunk_id", sa.String(length=256), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("section_path", sa.JSON(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("marks", sa.Integer(), nullable=False),
        sa.Column("want_key", sa.String(length=64), nullable=True),
        sa.Column("meta_key", sa.String(length=64), nullable=True),
        sa.Column("meta", sa.JSON(), nullable=True),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("error_kind", sa.String(length=128), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=False),
        sa.Column("generator", sa.String(length=256), nullable=False),
        sa.Column("fingerprint", sa.String(length=256), nullable=False),
        sa.Column("generated_at", sa.Float(), nullable=True),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("document_id", "chunk_id"),
    )
    op.create_index("chunks_batch", "chunks", ["document_id", "batch", "position"], unique=False)
    op.create_index("chunks_meta_key", "chunks", ["meta_key"], unique=False)
    op.create_index(
        "chunks_trouble",
        "chunks",
        ["state"],
        unique=False,
        sqlite_where=sa.text("state in ('failed', 'quarantined')"),
        postgresql_where=sa.text("state in ('failed', 'quarantined')"),
    )
    op.create_table(
        "documents",
        sa.Column("document_id", sa.String(length=512), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("mime", sa.String(length=128), nullable=False),
        sa.Column("source_hash", sa.String(length=64), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("topics", sa.JSON(), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("generator", sa.String(length=256), nullable=False),
        sa.Column("fingerprint", sa.String(length=256), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("document_id"),
    )
    op.create_index("documents_source", "documents", ["source"], unique=False)
    op.create_index("documents_status", "documents", ["status", "updated_at"], unique=False)
    op.create_table(
        "facts",
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("document_id", sa.String(length=512), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=256), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("outbox_due", "outbox", ["due_at"], unique=False)
    op.create_index("outbox_run", "outbox", ["run_id"], unique=False)
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("document_id", sa.String(length=512), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=False),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("engine", sa.String(length=16), nullable=False),
        sa.Column("generator", sa.String(length=256), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.String(length=256), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("force", sa.Boolean(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("batch_size", sa.Integer(), nullable=False),
        sa.Column("batches", sa.Integer(), nullable=False),
        sa.Column("callbacks", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=True),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("progress_at", sa.Float(), nullable=True),
        sa.Column("published_at", sa.Float(), nullable=True),
        sa.Column("redrives", sa.Integer(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("runs_document", "runs", ["document_id", "created_at"], unique=False)
    op.create_index("runs_finished", "runs", ["finished_at"], unique=False)
    op.create_index("runs_status", "runs", ["status", "published_at"], unique=False)
    op.create_table(
        "schedules",
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("task", sa.String(length=256), nullable=False),
        sa.Column("kwargs", sa.JSON(), nullable=False),
        sa.Column("every", sa.Float(), nullable=True),
        sa.Column("cron", sa.String(length=128), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("builtin", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    op.drop_table("schedules")
    op.drop_index("runs_status", table_name="runs")
    op.drop_index("runs_finished", table_name="runs")
    op.drop_index("runs_document", table_name="runs")
    op.drop_table("runs")
    op.drop_index("outbox_run", table_name="outbox")
    op.drop_index("outbox_due", table_name="outbox")
    op.drop_table("outbox")
    op.drop_table("facts")
    op.drop_index("documents_status", table_name="documents")
    op.drop_index("documents_source", table_name="documents")
    op.drop_table("documents")
    op.drop_index(
        "chunks_trouble",
        table_name="chunks",
        sqlite_where=sa.text("state in ('failed', 'quarantined')"),
        postgresql_where=sa.text("state in ('failed', 'quarantined')"),
    )
    op.drop_index("chunks_meta_key", table_name="chunks")
    op.drop_index("chunks_batch", table_name="chunks")
    op.drop_table("chunks")
    op.drop_index("batches_started", table_name="batches")
    op.drop_index("batches_open", table_name="batches")
    op.drop_table("batches")
