"""A document enters: chunks, document and run are stored in one transaction, before anything is published."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row

from ..errors import InvalidInput, StoreDeadlock, UnknownDocument
from ..models import Chunk, Json, Lane, ParsedDocument, RunStatus
from ..store import Store, admission, runs
from .finish import end_early, join

#: Deadlocks that a submission is repeated after.
_GIVEN_WAY = 5


@dataclass(frozen=True, slots=True)
class Submission:
    """What somebody wants done with a document."""

    document_id: str
    #: None: work on the chunks that are stored.
    chunks: Sequence[Chunk] | None
    generator: str
    options: Json = field(default_factory=dict)
    lane: Lane = Lane.BULK
    #: "": let `dispatch` choose.
    engine: str = ""
    #: Serialized signatures that get the final result.
    callbacks: Sequence[Json] = ()
    #: Generate again even what is there.
    force: bool = False
    #: The chunks come to those that are stored, instead of taking their place.
    additive: bool = False
    #: Of the chunks that failed before, those that are tried again; None: all of them. Goes with ``chunks=None``.
    only: frozenset[str] | None = None
    #: The id that the run is to have; new if None.
    run_id: str | None = None
    source: str = ""
    mime: str = ""
    source_hash: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of a submission."""

    document_id: str
    run_id: str
    lane: Lane
    engine: str
    #: False: the same work was under way already, and this is its run.
    created: bool


def submission_of_file(parsed: ParsedDocument, **wishes: Any) -> Submission:
    """The submission of a parsed file; ``wishes`` are further fields of Submission."""
    return Submission(
        document_id=parsed.document_id,
        chunks=parsed.chunks,
        source=parsed.source,
        mime=parsed.mime,
        source_hash=parsed.source_hash,
        hint=parsed.title,
        **wishes,
    )


def admit(store: Store, wish: Submission) -> Admission:
    """Store the submission; a run that already does the same is returned instead of a second one.

    Raises InvalidInput for the id of a run that does something else.
    """
    for _ in range(_GIVEN_WAY):
        try:
            return _admit(store, wish)
        except StoreDeadlock:  # a batch of the run that this one supersedes wrote its chunks just then
            continue
    return _admit(store, wish)


def _admit(store: Store, wish: Submission) -> Admission:
    now = time.time()
    digest = content_hash(wish)
    with store.write() as connection:
        document = _lock(store, connection, wish, now)
        own = _own_run(connection, wish)
        older = admission.open_run(connection, wish.document_id)
        same = own or (older if older is not None and older.content_hash == digest else None)
        if same is not None:
            join(connection, same, [*wish.callbacks, *_other_id(wish, same)], now)
            return Admission(wish.document_id, same.run_id, Lane(same.lane), same.engine, created=False)
        if older is not None:
            end_early(connection, older, RunStatus.CANCELLED, "superseded by a newer submission", now)
        return _store(store, connection, wish, document, digest, now)


def _own_run(connection: Connection, wish: Submission) -> Row[Any] | None:
    """The run that this very submission has made: the message that brought it came twice."""
    own = runs.get(connection, wish.run_id) if wish.run_id else None
    if own is None:
        return None
    again = replace(wish, generator=own.generator, options=own.options)  # settings may have changed in between
    if (own.document_id, own.content_hash) != (wish.document_id, content_hash(again)):
        raise InvalidInput(
            f"task_id: {wish.run_id} is the id of another submission (of {own.document_id}); give a new one, or none"
        )
    return own


def content_hash(wish: Submission) -> str:
    """sha256 over all that decides what the run does."""
    digest = hashlib.sha256()
    for part in _hashed(wish):
        digest.update(json.dumps(part, ensure_ascii=True, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _hashed(wish: Submission) -> Iterable[Any]:
    yield [wish.generator, wish.options, wish.force, wish.additive, wish.source, wish.hint]
    if wish.chunks is None:
        yield "stored"
        if wish.only is not None:
            yield sorted(wish.only)
        return
    for chunk in wish.chunks:
        yield [chunk.chunk_id, chunk.text, chunk.section_path, chunk.page, chunk.metadata]


def _lock(store: Store, connection: Connection, wish: Submission, now: float) -> Row[Any]:
    return admission.lock_document(
        store,
        connection,
        {
            "document_id": wish.document_id,
            "run_id": "",
            "status": RunStatus.QUEUED,
            "created_at": now,
            "updated_at": now,
        },
    )


def _other_id(wish: Submission, same: Row[Any]) -> list[str]:
    """The task id under which somebody waits for the result of a run of another id."""
    return [wish.run_id] if wish.run_id and wish.run_id != same.run_id else []


def _store(
    store: Store, connection: Connection, wish: Submission, document: Row[Any], digest: str, now: float
) -> Admission:
    run_id = wish.run_id or str(uuid4())
    total = _store_chunks(store, connection, wish, document, run_id)
    admission.insert_run(connection, _run_values(wish, run_id, digest, total, now))
    values: Json = {"run_id": run_id, "status": RunStatus.QUEUED, "updated_at": now}
    if wish.chunks is not None and not wish.additive:
        values |= {name: getattr(wish, name) for name in ("source", "mime", "source_hash", "hint")}
    admission.point_document(connection, wish.document_id, values)
    return Admission(wish.document_id, run_id, wish.lane, wish.engine, created=True)


def _store_chunks(store: Store, connection: Connection, wish: Submission, document: Row[Any], run_id: str) -> int:
    """Store or adopt the run's chunks; returns how many the run has."""
    if wish.chunks is None and not document.run_id:
        raise UnknownDocument(
            f"{wish.document_id}: no chunks are stored for it; give chunks, or see `smart-rag-tasks list`"
        )
    adopted = 0
    if wish.chunks is None or wish.additive:
        adopted = admission.adopt_chunks(
            connection, wish.document_id, run_id, listed_by=document.run_id, only=wish.only
        )
    if wish.chunks is None:
        return adopted
    start = admission.next_position(connection, wish.document_id, run_id) if wish.additive else 0
    chunks = [replace(chunk, position=start + index) for index, chunk in enumerate(wish.chunks)]
    admission.upsert_chunks(store, connection, wish.document_id, run_id, chunks)
    return admission.count_chunks(connection, wish.document_id, run_id) if wish.additive else len(chunks)


def _run_values(wish: Submission, run_id: str, digest: str, total: int, now: float) -> Json:
    return {
        "run_id": run_id,
        "document_id": wish.document_id,
        "status": RunStatus.QUEUED,
        "stage": "queued",
        "lane": wish.lane,
        "engine": wish.engine,
        "generator": wish.generator,
        "options": wish.options,
        "content_hash": digest,
        "force": wish.force,
        "total": total,
        "callbacks": list(wish.callbacks),
        "created_at": now,
        "published_at": now,
    }
