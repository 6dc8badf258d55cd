"""One chunk at a time: for applications that hand over chunks as they come, not documents."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from ..errors import InvalidChunks, TransientError, UnknownDocument
from ..metadata import cache_key, compose_context
from ..models import Chunk, ChunkFailure, ChunkState, DocumentContext, Json
from ..reliability.retry import delay_before_retry
from ..settings import Settings
from ..store import batches, singles
from ..store.rows import chunk_of, metadata_to_json
from .calling import call
from .environment import Environment
from .generation import PROCESS_DIED, process_died
from .validation import valid_chunks, valid_document_id


def by_document(chunk_data_list: object, settings: Settings) -> dict[str, tuple[Chunk, ...]]:
    """The chunks of each document; every item needs ``chunk_id``, ``text`` and ``document_id``.

    Raises InvalidInput for one that cannot be taken: nothing of the others is stored then.
    """
    if not isinstance(chunk_data_list, (list, tuple)):
        raise InvalidChunks(f"chunk_data_list: must be a list of dicts, not {type(chunk_data_list).__name__}")
    documents: dict[str, list[Json]] = defaultdict(list)
    for index, item in enumerate(chunk_data_list):
        if not isinstance(item, dict) or "document_id" not in item:
            raise InvalidChunks(f"chunk_data_list[{index}]: must be a dict with chunk_id, text and document_id")
        documents[valid_document_id(item["document_id"])].append(item)
    return {
        name: valid_chunks(items, max_chars=settings.max_chunk_chars, max_chunks=settings.max_chunks)
        for name, items in documents.items()
    }


def generate_one(env: Environment, document_id: object, chunk_id: object, text: object, *, again: bool = False) -> Json:
    """Store the chunk first, then generate and store its metadata; with ``text`` None, of the chunk that is stored.

    Returns ``chunk_id``, ``document_id``, ``status`` (``completed`` or ``failed``), and ``result`` or ``error``.
    Raises TransientError for what is worth repeating, after ``retry_after`` seconds. ``again``: an earlier try may
    have died of it, so this one is marked first, and the chunk is put aside after ``max_attempts`` of them.
    """
    name = valid_document_id(document_id)
    row = _stored(env, name, chunk_id, text)
    generator = env.generator(env.settings.generator, env.settings.generator_options)
    document = DocumentContext(name, row.title or "", row.language or "", row.source or "")
    chunk = chunk_of(row)
    key = cache_key(chunk, document, generator)
    answer = {"chunk_id": row.chunk_id, "document_id": name}
    if row.meta is not None and row.meta_key == key:
        if row.state == ChunkState.PENDING:  # it was listed anew, and what it had still holds
            with env.store.write() as connection:
                singles.write(connection, name, row.chunk_id, chunk.text, {"state": ChunkState.DONE.value})
        return answer | {"status": "completed", "result": row.meta}
    outcome = (_quarantined(env, row) if again else None) or call(generator, [chunk], document)[0]
    if isinstance(outcome, ChunkFailure):
        return answer | _failed(env, row, outcome)
    meta = metadata_to_json(outcome)
    values = {
        "state": ChunkState.DONE.value,
        "meta": meta,
        "meta_key": key,
        "context": compose_context(document.title, chunk.section_path, outcome.gist),
        "generator": env.settings.generator,
        "fingerprint": generator.fingerprint,
        "generated_at": time.time(),
        "tokens": outcome.tokens,
        "error_kind": "",
        "error": "",
        "traceback": "",
        "marks": 0,
        "attempts": 0,
    }
    with env.store.write() as connection:
        singles.write(connection, name, row.chunk_id, chunk.text, values)
    return answer | {"status": "completed", "result": meta}


def _stored(env: Environment, document_id: str, chunk_id: object, text: object) -> Any:
    """The chunk's row, written first if a text was given and is new."""
    if text is not None:
        settings = env.settings
        item = [{"chunk_id": chunk_id, "text": text}]
        chunk: Chunk = valid_chunks(item, max_chars=settings.max_chunk_chars, max_chunks=1)[0]
        with env.store.write() as connection:
            singles.store_chunk(env.store, connection, document_id, chunk, env.settings.generator, time.time())
    with env.store.read() as connection:
        row = singles.get(connection, document_id, str(chunk_id))
    if row is None:
        raise UnknownDocument(f"{document_id}: has no chunk {chunk_id!r} in the store; give its text")
    return row


def _quarantined(env: Environment, row: Any) -> ChunkFailure | None:
    """The failure that ends the tries of a chunk that kills its process; else marks the try that begins now."""
    tries = row.marks + 1  # the first one was not marked
    if tries >= env.settings.max_attempts:
        return process_died(tries)
    with env.store.write() as connection:
        batches.mark(connection, row.document_id, row.chunk_id, row.run_id)
    return None


def _failed(env: Environment, row: Any, failure: ChunkFailure) -> Json:
    attempts = 1 + (row.attempts if row.state == ChunkState.PENDING else 0)
    delay = delay_before_retry(failure, attempts)
    if delay is not None:
        state = ChunkState.PENDING
    else:
        state = ChunkState.QUARANTINED if failure.kind == PROCESS_DIED else ChunkState.FAILED
    values = {
        "state": state.value,
        "marks": 0,
        "attempts": attempts,
        "error_kind": failure.kind,
        "error": failure.message,
        "traceback": failure.traceback,
    }
    with env.store.write() as connection:
        singles.write(connection, row.document_id, row.chunk_id, row.text, values)
    if delay is not None:
        raise TransientError(f"{failure.kind}: {failure.message}", retry_after=delay)
    return {"status": "failed", "error": f"{failure.kind}: {failure.message}"}
