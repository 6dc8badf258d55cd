"""What an operator does to a document: cancel, pause, resume, delete. Durable, in the store, at once."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, Row

from ..errors import InvalidInput, UnknownDocument
from ..models import TERMINAL, RunStatus
from ..store import admission, documents, outbox, runs
from .environment import Environment
from .finish import end_early


def find_document(env: Environment, part: str, *, whole: bool = False) -> str:
    """The id of the one document that ``part`` means: the id itself, or (not ``whole``) a part that no other has."""
    if not part.strip():
        raise InvalidInput("DOCUMENT: is empty; `smart-rag-tasks list` shows the ids")
    with env.store.read() as connection:
        found = documents.find(connection, part)
    if whole and found and found != [part]:
        raise UnknownDocument(f"{part}: is only a part of an id ({found[0]}); a script must give it whole")
    if not found:
        raise UnknownDocument(f"{part}: no such document in the store; `smart-rag-tasks list` shows those there are")
    if len(found) > 1:
        raise InvalidInput(f"{part}: is a part of several ids ({found[0]}, {found[1]}, …); give more of it")
    return found[0]


def _open_run(connection: Connection, document_id: str) -> Row[Any]:
    document = documents.get(connection, document_id)
    if document is None:
        raise UnknownDocument(f"{document_id}: no such document in the store")
    run = runs.get(connection, document.run_id)
    if run is None or run.status in TERMINAL:
        raise InvalidInput(f"{document_id}: nothing is under way, its status is {document.status}")
    return run


def cancel(env: Environment, document_id: str) -> str:
    """Cancel the document's run; returns its id. At most the batches that run now go on, and they end soon."""
    with env.store.write() as connection:
        run = _open_run(connection, document_id)
        feed = bool(env.settings.sink)
        end_early(connection, run, RunStatus.CANCELLED, "cancelled by an operator", time.time(), feed=feed)
    return str(run.run_id)


def pause(env: Environment, document_id: str) -> str:
    """Let the run wait; what is in a worker's hands is finished. Returns the run's id."""
    return _switch(env, document_id, RunStatus.PAUSED)


def resume(env: Environment, document_id: str) -> str:
    """Let a paused run go on; returns its id. The caller sends its messages, or leaves them to the sweep."""
    return _switch(env, document_id, RunStatus.RUNNING)


def _switch(env: Environment, document_id: str, status: RunStatus) -> str:
    with env.store.write() as connection:
        admission.hold_document(connection, document_id)
        run = _open_run(connection, document_id)
        paused = run.status == RunStatus.PAUSED
        if paused == (status == RunStatus.PAUSED):
            raise InvalidInput(f"{document_id}: is {'paused already' if paused else 'not paused'}")
        after = RunStatus.QUEUED if status == RunStatus.RUNNING and run.stage == "queued" else status
        runs.set_status(connection, run.run_id, after)
        runs.set_document(connection, document_id, run.run_id, {"status": after.value, "updated_at": time.time()})
        if after != RunStatus.PAUSED:
            runs.forget_messages(connection, run.run_id)  # the sweep sends them at once
    return str(run.run_id)


def delete(env: Environment, document_id: str) -> int:
    """Delete a document and its chunks, cancelling what is under way; returns how many chunks."""
    now = time.time()
    with env.store.write() as connection:
        document = documents.get(connection, document_id)
        if document is None:
            raise UnknownDocument(f"{document_id}: no such document in the store")
        run = admission.open_run(connection, document_id)
        if run is not None:
            end_early(connection, run, RunStatus.CANCELLED, "the document was deleted", now)
        if env.settings.sink:
            gone = {"kind": "sink_delete", "document_id": document_id, "payload": {"chunk_ids": None}}
            outbox.put_for_sink(connection, [gone], now)
        return documents.remove(connection, document_id)
