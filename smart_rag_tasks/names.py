"""Queue and task names, and which task goes to which queue. The only place where they are spelt.

Plain ``str`` constants: a StrEnum member breaks ``app.signature``.
"""

from __future__ import annotations

from typing import Final

# -- queues, in the order in which a worker serves them (``queue_order_strategy: priority``). The sweep comes first: it
# is short, and behind a queue that is never empty it would never come.
PRIORITY_QUEUE: Final = "priority_queue"
MAINTENANCE: Final = "maintenance"
DEFAULT: Final = "default"
METADATA_QUEUE: Final = "metadata_queue"
INTAKE_QUEUE: Final = "intake_queue"

QUEUES: Final[tuple[str, ...]] = (MAINTENANCE, PRIORITY_QUEUE, DEFAULT, METADATA_QUEUE, INTAKE_QUEUE)
#: What the worker reserved for people who wait serves.
RESERVED_QUEUES: Final[tuple[str, ...]] = (MAINTENANCE, PRIORITY_QUEUE)

# -- engines, as runs name theirs
CELERY: Final = "celery"
RQ: Final = "rq"

_PREFIX: Final = "smart_rag_tasks."

PROCESS_DOCUMENT_PIPELINE: Final = _PREFIX + "process_document_pipeline"
INGEST_FILE: Final = _PREFIX + "ingest_file"
PREPROCESS_DOCUMENT: Final = _PREFIX + "preprocess_document"
GENERATE_BATCH_METADATA: Final = _PREFIX + "generate_batch_metadata"
GENERATE_BATCH: Final = _PREFIX + "generate_batch"
POSTPROCESS_RESULTS: Final = _PREFIX + "postprocess_results"
GENERATE_METADATA_FOR_CHUNK: Final = _PREFIX + "generate_metadata_for_chunk"
BATCH_METADATA_GENERATION: Final = _PREFIX + "batch_metadata_generation"
DELIVER_OUTBOX: Final = _PREFIX + "deliver_outbox"
SWEEP: Final = _PREFIX + "maintenance.sweep"
RESCAN: Final = _PREFIX + "maintenance.rescan"
REGENERATE_STALE: Final = _PREFIX + "maintenance.regenerate_stale"
EXPIRE: Final = _PREFIX + "maintenance.expire"
EVALUATE_ALERTS: Final = _PREFIX + "maintenance.evaluate_alerts"

#: Key in RedBeat's Redis that says when beat last ticked.
BEAT_TICK: Final = "smart_rag_tasks:beat"

#: The queue of each task, bulk lane. In the interactive lane a run's tasks all go to PRIORITY_QUEUE.
TASK_QUEUES: Final[dict[str, str]] = {
    PROCESS_DOCUMENT_PIPELINE: INTAKE_QUEUE,
    INGEST_FILE: INTAKE_QUEUE,
    PREPROCESS_DOCUMENT: INTAKE_QUEUE,
    GENERATE_BATCH_METADATA: INTAKE_QUEUE,
    GENERATE_BATCH: METADATA_QUEUE,
    POSTPROCESS_RESULTS: DEFAULT,
    GENERATE_METADATA_FOR_CHUNK: METADATA_QUEUE,
    BATCH_METADATA_GENERATION: METADATA_QUEUE,
    DELIVER_OUTBOX: DEFAULT,
    SWEEP: MAINTENANCE,
    RESCAN: MAINTENANCE,
    REGENERATE_STALE: MAINTENANCE,
    EXPIRE: MAINTENANCE,
    EVALUATE_ALERTS: MAINTENANCE,
}

#: The requirements document's bare names, answered by the same functions.
ALIASES: Final[dict[str, str]] = {
    "process_document_pipeline": PROCESS_DOCUMENT_PIPELINE,
    "preprocess_document": PREPROCESS_DOCUMENT,
    "generate_batch_metadata": GENERATE_BATCH_METADATA,
    "postprocess_results": POSTPROCESS_RESULTS,
    "generate_metadata_for_chunk": GENERATE_METADATA_FOR_CHUNK,
    "generate_metadata_with_retry": GENERATE_METADATA_FOR_CHUNK,
    "batch_metadata_generation": BATCH_METADATA_GENERATION,
}


def queue_of(task: str, lane: str = "bulk") -> str:
    """The queue that a task's message goes to; KeyError for a name that is none of ours."""
    return PRIORITY_QUEUE if lane == "interactive" else TASK_QUEUES[ALIASES.get(task, task)]


def is_ours(task: str) -> bool:
    """Whether a task of that name is this application's."""
    return task.startswith(_PREFIX) or task in ALIASES
