"""The tables. One schema for SQLite and PostgreSQL; the migrations beside it make exactly this (a test compares).

Times are seconds since the epoch (float). ``run_id`` in ``documents`` is the fence: only its run may write.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    text,
)

metadata = MetaData()

documents = Table(
    "documents",
    metadata,
    Column("document_id", String(512), primary_key=True),
    Column("run_id", String(64), nullable=False),  # the newest run: the fence
    Column("status", String(32), nullable=False),  # of the newest run
    Column("source", Text, nullable=False, default=""),
    Column("mime", String(128), nullable=False, default=""),
    Column("source_hash", String(64), nullable=False, default=""),
    Column("hint", Text, nullable=False, default=""),  # the title that the parser found
    Column("title", Text, nullable=False, default=""),
    Column("summary", Text, nullable=False, default=""),
    Column("topics", JSON, nullable=False, default=list),
    Column("language", String(16), nullable=False, default=""),
    Column("generator", String(256), nullable=False, default=""),
    Column("fingerprint", String(256), nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("documents_status", "status", "updated_at"),
    Index("documents_source", "source"),
)

chunks = Table(
    "chunks",
    metadata,
    Column("document_id", String(512), primary_key=True),
    Column("chunk_id", String(256), primary_key=True),
    Column("run_id", String(64), nullable=False),  # the newest run that lists it
    Column("position", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("section_path", JSON, nullable=False, default=list),
    Column("page", Integer),
    Column("extra", JSON, nullable=False, default=dict),  # the application's own fields
    Column("batch", Integer),  # NULL: not planned, or unchanged
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),  # tries that ended with an error
    Column("marks", Integer, nullable=False, default=0),  # tries that never ended: their process died
    Column("meta_key", String(64)),  # cache key of the metadata that is there
    Column("meta", JSON),
    Column("context", Text, nullable=False, default=""),
    Column("error_kind", String(128), nullable=False, default=""),
    Column("error", Text, nullable=False, default=""),
    Column("traceback", Text, nullable=False, default=""),
    Column("generator", String(256), nullable=False, default=""),
    Column("fingerprint", String(256), nullable=False, default=""),
    Column("generated_at", Float),
    Column("tokens", Integer, nullable=False, default=0),
    Index("chunks_batch", "document_id", "batch", "position"),
    Index("chunks_position", "document_id", "position"),
    Index("chunks_meta_key", "meta_key"),
    Index(
        "chunks_trouble",
        "state",
        sqlite_where=text("state in ('failed', 'quarantined')"),
        postgresql_where=text("state in ('failed', 'quarantined')"),
    ),
)

#: What a generator is shown of a chunk, and whose it is; reading all columns takes a page twice as long.
SHOWN = [
    chunks.c[name]
    for name in (
        *("document_id", "chunk_id", "run_id", "position"),
        *("text", "section_path", "page", "extra"),
    )
]

runs = Table(
    "runs",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("document_id", String(512), nullable=False),
    Column("status", String(32), nullable=False),
    Column("stage", String(32), nullable=False),  # queued, generation, validation, done
    Column("lane", String(16), nullable=False),
    Column("engine", String(16), nullable=False),
    Column("generator", String(256), nullable=False),
    Column("options", JSON, nullable=False, default=dict),
    Column("fingerprint", String(256), nullable=False, default=""),
    Column("content_hash", String(64), nullable=False),
    Column("force", Boolean, nullable=False, default=False),  # generate again even what is there
    Column("total", Integer, nullable=False, default=0),
    Column("unchanged", Integer, nullable=False, default=0),
    Column("done", Integer, nullable=False, default=0),  # live counters; the end counts rows
    Column("failed", Integer, nullable=False, default=0),
    Column("batch_size", Integer, nullable=False, default=0),  # 0: not planned
    Column("batches", Integer, nullable=False, default=0),
    Column("callbacks", JSON, nullable=False, default=list),  # signatures, and task ids that wait for the result
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("progress_at", Float),  # last PROGRESS update
    Column("published_at", Float),  # entry message
    Column("redrives", Integer, nullable=False, default=0),
    Column("deaths", Integer, nullable=False, default=0),  # deliveries of the entry message whose process died
    Column("error", Text, nullable=False, default=""),
    Index("runs_status", "status", "published_at"),
    Index("runs_document", "document_id", "created_at"),
    Index("runs_finished", "finished_at"),
)

batches = Table(
    "batches",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),  # 0-based
    Column("state", String(16), nullable=False),  # open, done
    Column("queue", String(64), nullable=False),
    Column("owner", String(256)),  # the lease
    Column("lease_until", Float),
    Column("deaths", Integer, nullable=False, default=0),  # owners that died on it
    Column("due_at", Float),  # a retry waits until then
    Column("published_at", Float),
    Column("started_at", Float),
    Column("redrives", Integer, nullable=False, default=0),
    Index("batches_open", "state", "published_at"),
    Index("batches_started", "queue", "started_at"),
    Index(
        "batches_leased",
        "lease_until",
        sqlite_where=text("owner IS NOT NULL"),
        postgresql_where=text("owner IS NOT NULL"),
    ),
)

#: Whether a batch of a known run is open. Compared so that no index on `state` serves: it would lead through
#: everybody's open batches instead of through the run's own, by the primary key.
IS_OPEN = func.coalesce(batches.c.state, "") == "open"

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(32), nullable=False),  # result, callback, sink, sink_delete
    Column("document_id", String(512), nullable=False),
    Column("run_id", String(64), nullable=False, default=""),
    Column("payload", JSON, nullable=False, default=dict),
    Column("due_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("owner", String(256)),
    Column("lease_until", Float),
    Column("error", Text, nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    Index("outbox_due", "due_at"),
    Index("outbox_run", "run_id"),
)

schedules = Table(
    "schedules",
    metadata,
    Column("name", String(256), primary_key=True),
    Column("task", String(256), nullable=False),
    Column("kwargs", JSON, nullable=False, default=dict),
    Column("every", Float),  # seconds; or
    Column("cron", String(128)),  # five fields, UTC
    Column("enabled", Boolean, nullable=False, default=True),
    Column("builtin", Boolean, nullable=False, default=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

#: What a re-scan knows of the files in watched folders: so that an unchanged file costs one stat.
watched_files = Table(
    "watched_files",
    metadata,
    Column("source", Text, primary_key=True),  # as in documents
    Column("folder", Text, nullable=False),  # the watched folder it lies in
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("source_hash", String(64), nullable=False, default=""),  # "": not read by a scan yet
    Column("sent_at", Float),  # handed to a worker, outcome unknown
    Column("tries", Integer, nullable=False, default=0),  # of this content: ingests that were lost, or retries
    Column("missing_since", Float),  # first scan that did not find it
    Column("error", Text, nullable=False, default=""),  # why this content cannot be taken in
    Index("watched_files_folder", "folder"),
)

#: Small facts that all processes share: the switch between engines, measured costs.
facts = Table(
    "facts",
    metadata,
    Column("name", String(256), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("updated_at", Float, nullable=False),
)

#: Changes of counts that triggers have noted (migration 0003) and nobody has added up yet.
tallies = Table(
    "tallies",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False),
    Column("label", String(192), nullable=False),
    Column("delta", Float, nullable=False),
)

#: The counts, without what is still in ``tallies``.
counters = Table(
    "counters",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("label", String(192), primary_key=True),
    Column("value", Float, nullable=False),
)
