"""The values that travel between the floors: plain frozen dataclasses and string constants, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: JSON as Python sees it.
Json = dict[str, Any]


class RunStatus(StrEnum):
    """What a run, and the document it is the newest run of, can be."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EMPTY = "empty"


#: A run in one of these never changes again.
TERMINAL = frozenset(
    {
        RunStatus.COMPLETED,
        RunStatus.COMPLETED_WITH_ERRORS,
        RunStatus.FAILED,
        RunStatus.CANCELLED,
        RunStatus.EMPTY,
    }
)


#: Ends of a run that has done all it was for.
WELL = frozenset({RunStatus.COMPLETED, RunStatus.EMPTY})


class ChunkState(StrEnum):
    """What a chunk can be within its run."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    #: An operator has accepted that it has no metadata.
    DISCARDED = "discarded"


class Lane(StrEnum):
    """Which workers take a run: ``bulk`` is the default, ``interactive`` is for people who wait."""

    BULK = "bulk"
    INTERACTIVE = "interactive"


#: States of a chunk that ended without metadata.
WITHOUT_METADATA = frozenset({ChunkState.FAILED, ChunkState.QUARANTINED, ChunkState.DISCARDED})


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of a document's text."""

    #: Unique within its document.
    chunk_id: str
    #: The original text; never altered.
    text: str
    #: 0-based place in the document.
    position: int = 0
    #: Headings above it, outermost first.
    section_path: tuple[str, ...] = ()
    #: 1-based page, None where the format has no pages.
    page: int | None = None
    #: The application's own fields, handed through untouched.
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A file turned into chunks."""

    #: Stable: the same file gives the same id.
    document_id: str
    #: Absolute path or URI it came from.
    source: str
    #: Media type, e.g. ``text/markdown``.
    mime: str
    #: Title found in the file (its metadata or first heading), "" when there is none.
    title: str
    #: sha256 of the file's bytes, hexadecimal.
    source_hash: str
    #: In reading order.
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class DocumentContext:
    """What a generator may know of the document that its chunks come from."""

    document_id: str
    #: "" when none was found.
    title: str = ""
    #: ISO 639-1 code of the document's main language, "" when unknown.
    language: str = ""
    #: Absolute path or URI, "" when the chunks came from an application.
    source: str = ""


@dataclass(frozen=True, slots=True)
class Entity:
    """A named thing in a text."""

    text: str
    #: ``person``, ``place``, ``organization``, ``date``, ``number``, ``url``, ``email``, ``term``.
    kind: str


@dataclass(frozen=True, slots=True)
class ChunkMetadata:
    """What a generator says of one chunk."""

    #: Most important first.
    keywords: tuple[str, ...] = ()
    #: One or two sentences.
    summary: str = ""
    #: The chunk in one short line; title and headings are put before it to make ``context``.
    gist: str = ""
    entities: tuple[Entity, ...] = ()
    #: ISO 639-1 code, "" when unknown (only punctuation, only emoji).
    language: str = ""
    #: Questions that the chunk answers; only where a model is configured.
    questions: tuple[str, ...] = ()
    #: Tokens that a model was paid for, 0 without a model.
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class ChunkFailure:
    """Why a chunk has no metadata."""

    #: The error's class name, e.g. ``RateLimited``: what retry policies and filters go by.
    kind: str
    #: One line, without chunk text.
    message: str
    #: The traceback as text, "" when there is none.
    traceback: str = ""
    #: Whether repeating can help.
    transient: bool = False
    #: Seconds the other side asked us to wait, None when it did not say.
    retry_after: float | None = None


#: What a generator gives for each chunk, in the chunks' order.
Outcome = ChunkMetadata | ChunkFailure


@dataclass(frozen=True, slots=True)
class DocumentMetadata:
    """What a generator says of a whole document."""

    title: str = ""
    summary: str = ""
    #: Most important first.
    topics: tuple[str, ...] = ()
    language: str = ""


@dataclass(frozen=True, slots=True)
class FinalResult:
    """The end of a run, as its ``AsyncResult`` and its callbacks get it."""

    document_id: str
    run_id: str
    final_status: str
    #: Chunks that have metadata now, unchanged ones included.
    processed_chunks: int
    failed_chunks: int
    #: Chunks whose metadata was still right, nothing generated.
    unchanged_chunks: int
    #: From submission to the end, wall clock.
    seconds: float
