"""What lies in the queues of either side, told apart: ours by run, ours by themselves, upkeep, and foreign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..names import (
    BATCH_METADATA_GENERATION,
    DELIVER_OUTBOX,
    GENERATE_BATCH,
    GENERATE_METADATA_FOR_CHUNK,
    INGEST_FILE,
    MAINTENANCE,
    PREPROCESS_DOCUMENT,
    PROCESS_DOCUMENT_PIPELINE,
    TASK_QUEUES,
)

#: Work that only the message knows of.
_SINGLE_TASKS: Final = frozenset({GENERATE_METADATA_FOR_CHUNK, BATCH_METADATA_GENERATION, INGEST_FILE})
#: Sent again by itself, on whichever side.
_UPKEEP: Final = frozenset({task for task, queue in TASK_QUEUES.items() if queue == MAINTENANCE} | {DELIVER_OUTBOX})
#: Messages of a run: the run is in the store, the message says nothing more.
_RUN_TASKS: Final = frozenset(TASK_QUEUES) - _SINGLE_TASKS - _UPKEEP

RUN, SINGLE, UPKEEP, FOREIGN = "run", "single", "upkeep", "foreign"


@dataclass(frozen=True, slots=True)
class Item:
    """One message or job where it lies."""

    #: Of the task or job.
    id: str
    #: ``waiting``, ``scheduled``, ``taken`` (unacknowledged, started, intermediate), ``deferred``.
    place: str
    queue: str
    #: The function as the message names it.
    function: str
    #: Our task's name, "" for what is not ours or cannot be read.
    task: str = ""
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    #: Serialized signatures that get the result (Celery only).
    callbacks: Sequence[Any] = ()
    #: Why it is left alone: ``pickled``, ``unreadable``, ``unknown function``; "" for ours.
    reason: str = ""
    #: What finds it again: the raw message, the delivery tag, the registry's member.
    handle: bytes = b""
    #: Bytes of its payload.
    size: int = 0

    @property
    def kind(self) -> str:
        """``run``, ``single`` (only the message knows of it), ``upkeep`` or ``foreign``."""
        if self.task in _UPKEEP:
            return UPKEEP
        if self.task in _SINGLE_TASKS or (self.task in _RUN_TASKS and not self.run_id):
            return SINGLE
        return RUN if self.task in _RUN_TASKS else FOREIGN

    @property
    def run_id(self) -> str:
        """The run it belongs to, "" when the message brings a document of its own."""
        if "run_id" in self.kwargs:
            return str(self.kwargs["run_id"] or "")
        first = self.args[0] if self.args else None
        if self.task == GENERATE_BATCH:
            return str(first)
        return str(first.get("run_id", "")) if isinstance(first, dict) else ""

    @property
    def document_ids(self) -> list[str]:
        """The documents that a single item is about; [] for a file, which has no id yet."""
        if self.task == GENERATE_METADATA_FOR_CHUNK:
            named = self.kwargs.get("document_id", self.args[2] if len(self.args) > 2 else "")
        elif self.task in (PROCESS_DOCUMENT_PIPELINE, PREPROCESS_DOCUMENT):
            named = self.kwargs.get("document_id", self.args[0] if self.args else "")
        else:
            return []
        return [str(named)]
