"""Dead letters of every kind in one list: broken documents, failed chunks, files that are refused, deliveries and
messages put aside.

Messages are in the broker's dead list, all else in the store. A letter can be tried again or discarded.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import Connection

from . import dead_list, names
from .celery import app
from .dispatch import submit
from .errors import BrokerUnreachable, InvalidInput, UnknownDocument
from .models import TERMINAL, Json
from .monitoring.broker import open_broker
from .stages.environment import Environment
from .store import runs, trouble, watched

logger = logging.getLogger(__name__)

#: Ids in one statement: SQLite takes some 32,000 parameters.
PAGE = 500


class Source(StrEnum):
    """Where a dead letter lies."""

    DOCUMENT = "document"
    CHUNK = "chunk"
    FILE = "file"
    DELIVERY = "delivery"
    MESSAGE = "message"


#: What the ids of each begin with.
_LETTERS = {
    Source.DOCUMENT: "r",
    Source.CHUNK: "c",
    Source.FILE: "f",
    Source.DELIVERY: "d",
    Source.MESSAGE: "m",
}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Something that could not be done."""

    #: Short and stable, for the command line.
    id: str
    source: Source
    #: "" for messages.
    document_id: str
    #: Run id, chunk id, path, kind of delivery, or task and queue.
    what: str
    #: Kind of error, e.g. ``RateLimited``.
    kind: str
    #: One line, without chunk text.
    error: str
    #: Epoch seconds of the failure.
    at: float
    #: Whether its document is still worked on.
    in_flight: bool = False
    #: What the source calls it.
    key: str = field(default="", repr=False)

    def record(self) -> Json:
        """For ``--json``."""
        shown = ("id", "document_id", "what", "kind", "error", "at", "in_flight")
        return {"source": self.source.value} | {name: getattr(self, name) for name in shown}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters; what is None or empty does not select."""

    ids: tuple[str, ...] = ()
    document_id: str | None = None
    kind: str | None = None
    #: Seconds: only letters at least that old.
    older_than: float | None = None
    source: Source | None = None

    def may_be(self, source: Source) -> bool:
        """Whether letters of this source are wanted; an id begins with its source's letter."""
        return self.source in (None, source) and (
            not self.ids or any(one.startswith(f"{_LETTERS[source]}-") for one in self.ids)
        )

    @property
    def everything(self) -> bool:
        """Whether nothing was selected by."""
        return self == Selection()


def find(env: Environment, wanted: Selection) -> tuple[list[DeadLetter], str]:
    """The letters, and why messages are not among them ("" when they are)."""
    letters = _in_store(env, wanted)
    missing = ""
    if wanted.document_id is None and wanted.may_be(Source.MESSAGE):
        try:
            letters += _messages()
        except BrokerUnreachable as error:
            missing = str(error)
    before = time.time() - (wanted.older_than or 0.0)
    chosen = [
        letter
        for letter in letters
        if (wanted.source in (None, letter.source))
        and (wanted.kind in (None, letter.kind))
        and letter.at <= before
        and (not wanted.ids or letter.id in wanted.ids)
    ]
    unknown = set(wanted.ids) - {letter.id for letter in chosen}
    if unknown:
        note = f" ({missing})" if missing else ""
        raise InvalidInput(f"{min(unknown)}: no such dead letter{note}; `smart-rag-tasks dead-letters list` shows all")
    return chosen, missing


def _in_store(env: Environment, wanted: Selection) -> list[DeadLetter]:
    document = wanted.document_id
    letters: list[DeadLetter] = []
    with env.store.read() as connection:
        if wanted.may_be(Source.DOCUMENT):
            letters += map(_document_letter, trouble.broken_documents(connection, document_id=document))
        if wanted.may_be(Source.CHUNK):
            letters += map(_chunk_letter, trouble.failed_chunks(connection, document_id=document, kind=wanted.kind))
        if wanted.may_be(Source.FILE) and document is None:
            letters += map(_file_letter, watched.refused(connection))
        if wanted.may_be(Source.DELIVERY):
            letters += map(_delivery_letter, trouble.deliveries(connection, document_id=document))
    return letters


def _document_letter(row: Any) -> DeadLetter:
    return DeadLetter(
        id=f"r-{_digest(row.run_id)}",
        source=Source.DOCUMENT,
        document_id=row.document_id,
        what=row.run_id,
        kind="PlanningFailed",
        error=row.error.removeprefix("planning failed").lstrip(": "),
        at=row.at,
        key=row.run_id,
    )


def _delivery_letter(row: Any) -> DeadLetter:
    return DeadLetter(
        id=f"d-{row.id}",
        source=Source.DELIVERY,
        document_id=row.document_id,
        what=row.kind,
        kind=row.error.partition(":")[0],
        error=row.error,
        at=row.created_at,
        key=str(row.id),
    )


def _file_letter(row: Any) -> DeadLetter:
    return DeadLetter(
        id=f"f-{_digest(row.source)}",
        source=Source.FILE,
        document_id="",
        what=row.source,
        kind="Refused",
        error=row.error.removeprefix(f"{row.source}: "),
        at=row.mtime_ns / 1e9,
        key=row.source,
    )


def _chunk_letter(row: Any) -> DeadLetter:
    return DeadLetter(
        id=f"c-{_digest(row.document_id, row.chunk_id)}",
        source=Source.CHUNK,
        document_id=row.document_id,
        what=row.chunk_id,
        kind=row.error_kind,
        error=row.error,
        at=row.at,
        in_flight=row.status is not None and row.status not in TERMINAL,
        key=row.chunk_id,
    )


def _messages() -> list[DeadLetter]:
    with open_broker(app) as broker:
        if broker.client is None:
            return []  # RabbitMQ has a dead-letter exchange of its own
        messages = dead_list.dead_messages(broker.client, dead_list.LIMIT, key=broker.dead_list)
        return [_message_letter(message) for message in messages]


def _message_letter(message: dead_list.DeadMessage) -> DeadLetter:
    return DeadLetter(
        id=f"m-{message.id}",
        source=Source.MESSAGE,
        document_id="",
        what=f"{message.task} in {message.queue}" if message.task else message.queue,
        kind="Malformed",
        error=message.reason,
        at=message.at,
        key=message.id,
    )


def _digest(*parts: str) -> str:
    """64 bits: with 40, half a million letters were likely to have two of one id, and to be discarded together."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def details(env: Environment, letter: DeadLetter) -> Json:
    """All that is known of a letter; a chunk's text and a message's bytes are shown to who asks for this one."""
    record = letter.record()
    if letter.source is Source.CHUNK:
        with env.store.read() as connection:
            row = trouble.chunk(connection, letter.document_id, letter.key)
        if row is not None:
            shown = ("state", "attempts", "marks", "traceback", "section_path", "page", "text")
            record |= {name: getattr(row, name) for name in shown}
    elif letter.source is Source.MESSAGE:
        with open_broker(app) as broker:
            if broker.client is not None:
                message = dead_list.find(broker.client, letter.key, key=broker.dead_list)
                record |= {"queue": message.queue, "task": message.task, "bytes": message.size}
                record |= {"complete": message.complete, "raw": message.raw.decode("utf-8", "replace")}
    return record


# -- trying again


def retry(env: Environment, letters: Sequence[DeadLetter]) -> list[str]:
    """Try again; one sentence for each letter, or group of them, that was not."""
    refusals = _retry_documents(env, letters)
    files = [letter.key for letter in letters if letter.source is Source.FILE]
    deliveries = [int(letter.key) for letter in letters if letter.source is Source.DELIVERY]
    with env.store.write() as connection:
        watched.forget(connection, files)  # new to the next scan
        for page in _pages(deliveries):
            trouble.hurry_deliveries(connection, page)
    if deliveries:
        app.send_task(names.DELIVER_OUTBOX, queue=names.queue_of(names.DELIVER_OUTBOX))
    return refusals + _requeue([letter for letter in letters if letter.source is Source.MESSAGE])


def _by_document(letters: Iterable[DeadLetter]) -> dict[str, list[str]]:
    """The ids of the chunks among the letters, by document."""
    found: dict[str, list[str]] = defaultdict(list)
    for letter in letters:
        if letter.source is Source.CHUNK:
            found[letter.document_id].append(letter.key)
    return found


def _retry_documents(env: Environment, letters: Sequence[DeadLetter]) -> list[str]:
    whole = {letter.document_id for letter in letters if letter.source is Source.DOCUMENT}
    parts = {name: chunks for name, chunks in _by_document(letters).items() if name not in whole}
    return [refusal for name in [*sorted(whole), *parts] if (refusal := _retry_document(env, name, parts.get(name)))]


def _retry_document(env: Environment, document_id: str, chunks: Sequence[str] | None) -> str:
    """Submit it again; of its failed chunks these only, or all that lacks metadata. Why it was not, else ""."""
    with env.store.read() as connection:
        run = runs.newest_of(connection, document_id)
    if run is None or run.status not in TERMINAL:
        return f"{document_id}: is still worked on; try again when it has ended"
    wish = {"lane": run.lane}
    if chunks is not None:  # a run that broke as a whole may have done so for its generator
        wish |= {"generator": run.generator, "options": run.options, "only": frozenset(chunks)}
    try:
        submit(env.store, env.settings, document_id, **wish)
    except UnknownDocument as error:
        return str(error)
    return ""


def _requeue(letters: Sequence[DeadLetter]) -> list[str]:
    refusals: list[str] = []
    if not letters:
        return refusals
    with open_broker(app) as broker:
        for letter in letters:
            try:
                if broker.client is not None:
                    dead_list.requeue(broker.client, letter.key, key=broker.dead_list, queue_prefix=broker.prefix)
            except InvalidInput as error:
                refusals.append(str(error))
    return refusals


# -- giving up


def discard(env: Environment, letters: Sequence[DeadLetter]) -> int:
    """Give up; returns how many letters went. A chunk stays stored and searchable, without metadata."""
    count = 0
    for step in _steps(letters):  # a transaction each: workers write in between
        with env.store.write() as connection:
            count += step(connection)
    messages = [letter.key for letter in letters if letter.source is Source.MESSAGE]
    if messages:
        with open_broker(app) as broker:
            if broker.client is not None:
                count += dead_list.forget(broker.client, messages, key=broker.dead_list)
    return count


def _steps(letters: Sequence[DeadLetter]) -> Iterator[Callable[[Connection], int]]:
    """What is to be written for letters of the store; each gives how many letters went."""
    for letter in letters:
        if letter.source is Source.DOCUMENT:
            yield partial(_discard_document, letter=letter)
    for document_id, chunks in _by_document(letters).items():
        for page in _pages(chunks):
            yield partial(trouble.discard_chunks, document_id=document_id, ids=page)
    for page in _pages([int(letter.key) for letter in letters if letter.source is Source.DELIVERY]):
        yield partial(trouble.drop_deliveries, ids=page)
    for page in _pages([letter.key for letter in letters if letter.source is Source.FILE]):
        yield partial(watched.accept, sources=page)


def _discard_document(connection: Connection, letter: DeadLetter) -> int:
    return int(trouble.discard_left(connection, letter.document_id, letter.key) > 0)


def _pages(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + PAGE] for start in range(0, len(items), PAGE)]
