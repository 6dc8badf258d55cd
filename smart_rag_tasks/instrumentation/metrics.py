"""Every metric that the exporter tells: name, kind, help, unit, labels. The only place where they are defined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

#: Seconds: the histograms' buckets, as the store's triggers sort durations into them (a test compares).
BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A counter's name is without ``_total``: the format adds it."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    #: ``seconds``, ``bytes``, or "" for a number of things.
    unit: str = ""
    #: The count in the store that it is (see ``store.tallies``), "" if it comes from elsewhere.
    count: str = ""


def _gauge(name: str, help: str, *labels: str, unit: str = "", count: str = "") -> Metric:
    return Metric("smart_rag_" + name, "gauge", help, labels, unit, count)


def _counter(name: str, help: str, *labels: str, count: str) -> Metric:
    return Metric("smart_rag_" + name, "counter", help, labels, count=count)


# -- from the store
DOCUMENTS: Final = _gauge("documents", "Documents by the status of their newest run.", "status", count="documents")
CHUNKS_WAITING: Final = _gauge(
    "chunks_waiting", "Chunks of runs that have not ended, without outcome so far.", count="chunks_waiting"
)
CHUNKS: Final = _counter(
    "chunks", "Chunks by outcome: generated, unchanged, failed.", "outcome", count="chunks_settled"
)
RUNS_SUBMITTED: Final = _counter("runs_submitted", "Runs submitted, by lane.", "lane", count="runs_submitted")
RUNS_ENDED: Final = _counter("runs_ended", "Runs ended, by status.", "status", count="runs_ended")
RUN_SECONDS: Final = Metric(
    "smart_rag_run_duration_seconds",
    "histogram",
    "From submission to the end of a run.",
    ("lane",),
    "seconds",
    "run_seconds",
)
BATCH_SECONDS: Final = Metric(
    "smart_rag_batch_duration_seconds",
    "histogram",
    "From taking a batch's lease to its end.",
    ("queue",),
    "seconds",
    "batch_seconds",
)
CHUNK_ERRORS: Final = _counter(
    "chunk_errors", "Tries of chunks that ended with an error, by the error's kind.", "kind", count="chunk_errors"
)
CHUNK_RETRIES: Final = _counter("chunk_retries", "Of these, those that are tried again.", "kind", count="chunk_retries")
CHUNKS_QUARANTINED: Final = _counter(
    "chunks_quarantined", "Chunks put in quarantine: their process died in every try.", count="chunks_quarantined"
)
REDRIVES: Final = _counter(
    "redrives", "Messages sent again by the sweep: of runs, of batches.", "what", count="redrives"
)
DEATHS: Final = _counter(
    "process_deaths", "Processes that died while they worked on a run or a batch.", "what", count="deaths"
)
TOKENS: Final = _counter("tokens", "Tokens that a model was paid for.", count="tokens")
LEASES: Final = _gauge("leases", "Batches that somebody works on (held), or that nobody gave back (expired).", "state")
OUTBOX: Final = _gauge("outbox_entries", "Results, callbacks and sink records that have to leave the store.", "kind")
OUTBOX_OLDEST: Final = _gauge("outbox_oldest_seconds", "Age of the oldest of them.", "kind", unit="seconds")
STALLED: Final = _gauge(
    "stalled_run_seconds", "Time without progress of the running run that has waited for longest.", unit="seconds"
)

# -- from the broker
QUEUE_WAITING: Final = _gauge("queue_waiting", "Messages that wait in a queue, all priorities.", "queue")
QUEUE_UNACKED: Final = _gauge("queue_unacknowledged", "Messages of a queue that workers hold.", "queue")
QUEUE_OLDEST: Final = _gauge("queue_oldest_seconds", "Age of a queue's oldest message.", "queue", unit="seconds")
DEAD_LETTERS: Final = _gauge("dead_letters", "Messages on the dead list.")
REDIS_USED: Final = _gauge("redis_memory_used_bytes", "Memory that Redis uses.", unit="bytes")
REDIS_LIMIT: Final = _gauge("redis_memory_limit_bytes", "Memory that Redis may use.", unit="bytes")
BEAT_AGE: Final = _gauge("beat_last_tick_seconds", "Seconds since beat's last tick.", unit="seconds")

# -- from the workers
WORKERS: Final = _gauge("workers", "Workers that answer.")
QUEUE_CONSUMERS: Final = _gauge("queue_consumers", "Workers that serve a queue.", "queue")
WORKER_ACTIVE: Final = _gauge("worker_active_tasks", "Tasks that a worker runs now.", "worker")
WORKER_LONGEST: Final = _gauge(
    "worker_longest_task_seconds", "How long a worker's longest task has been running.", "worker", unit="seconds"
)
WORKER_MEMORY: Final = _gauge("worker_memory_bytes", "Memory of a worker with its children.", "worker", unit="bytes")
WORKER_MEMORY_FRACTION: Final = _gauge(
    "worker_memory_fraction", "Of the memory that its machine, or container, has.", "worker"
)

# -- of the exporter itself
UP: Final = _gauge("up", "Whether the store, the broker and the control of workers answered this scrape.", "part")
SCRAPE_SECONDS: Final = _gauge("scrape_seconds", "What asking them took.", "part", unit="seconds")

ALL: Final[tuple[Metric, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
