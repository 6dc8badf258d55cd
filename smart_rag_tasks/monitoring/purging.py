"""Emptying one queue without losing a document.

The store knows what each message stood for, and the sweep would send lost ones again within seconds. So the runs
whose messages are taken away are paused: `smart-rag-tasks resume DOCUMENT` sends them again. What carried chunks that
are in no store yet is stored first. Callers of other tasks are told REVOKED instead of waiting for ever.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import redis
from celery import Celery
from kombu.exceptions import KombuError
from kombu.serialization import loads, prepare_accept_content

from .. import names
from ..arguments import PARAMETERS
from ..dispatch import submit
from ..errors import InvalidInput
from ..models import Json
from ..stages import control
from ..stages.environment import Environment
from ..store import observed
from .broker import Broker, open_broker

logger = logging.getLogger(__name__)

#: Messages read at once.
PAGE: Final = 200
#: Seconds after which what a purge that broke off had set aside is forgotten.
KEPT: Final = 86_400

#: Sent again by beat, the sweep or a worker, whenever they are due.
_PERIODIC: Final = frozenset(
    name for name, queue in names.TASK_QUEUES.items() if queue == names.MAINTENANCE
) | {names.DELIVER_OUTBOX}  # fmt: skip


@dataclass(slots=True)
class Purged:
    """What a purge did."""

    queue: str
    #: Messages that were removed.
    messages: int = 0
    #: Documents whose runs are paused now.
    documents: set[str] = field(default_factory=set)
    #: Other tasks that were dropped, by name.
    dropped: Counter[str] = field(default_factory=Counter)


def purge(app: Celery, env: Environment, queue: str) -> Purged:
    """Take all messages that wait in ``queue`` away, of every priority; those in workers' hands stay."""
    if queue not in names.QUEUES:
        raise InvalidInput(f"{queue}: no such queue; there are {', '.join(names.QUEUES)}")
    purged = Purged(queue)
    with open_broker(app) as broker:
        work = _Purge(app, env, broker, purged)
        if broker.client is None:
            work.take_each(queue)
            return purged
        for key in broker.keys(queue).values():
            work.pause_all(key)  # before anything is gone: the sweep must not take it for lost
            work.remove(key)
    return purged


class _Purge:
    def __init__(self, app: Celery, env: Environment, broker: Broker, purged: Purged) -> None:
        self.app, self.env, self.broker, self.purged = app, env, broker, purged
        self.paused: set[str] = set()

    def take_each(self, queue: str) -> None:
        """Where only who takes a message can read it: each goes when it is dealt with, and comes back if that fails."""
        channel = self.broker.channel
        for _ in range(self.broker.length(queue)):
            taken = channel.basic_get(queue=queue, no_ack=False)
            if taken is None:  # a worker was faster
                return
            message = channel.message_to_python(taken)
            try:
                self._deal_with(_written(message))
            except BaseException:
                message.requeue()
                raise
            message.ack()

    def pause_all(self, key: str) -> None:
        """Pause every run that has a message in the list."""
        for message in self._read(key):
            self._pause_run(message)

    def remove(self, key: str) -> None:
        """Set the list aside in one step, deal with what is in it, and forget it."""
        aside = f"{self.broker.prefix}smart_rag_tasks:purged:{uuid4()}"
        client = self.broker.redis_client()
        try:
            client.rename(key, aside)
        except redis.ResponseError:  # an empty list is no key
            return
        client.expire(aside, KEPT)
        for message in self._read(aside):
            self._deal_with(message)
        client.delete(aside)

    def _deal_with(self, message: Json) -> None:
        self.purged.messages += 1
        if not self._pause_run(message):
            self._drop(message)

    def _read(self, key: str) -> Iterator[Json]:
        start = 0
        while page := self.broker.redis_client().lrange(key, start, start + PAGE - 1):
            for raw in page:
                yield _parsed(raw)
            start += PAGE

    def _pause_run(self, message: Json) -> bool:
        """Pause the run that a message belongs to; False if it belongs to none."""
        run_id = run_of(message)
        if run_id is None:
            return False
        if run_id in self.paused:
            return True
        with self.env.store.read() as connection:
            run = observed.run_of_task(connection, run_id)
        if run is None:
            return False
        self.paused.add(run_id)
        self._pause_document(run.document_id)
        return True

    def _pause_document(self, document_id: str) -> None:
        try:
            control.pause(self.env, document_id)
        except InvalidInput:  # it has ended, or is paused already
            return
        self.purged.documents.add(document_id)

    def _drop(self, message: Json) -> None:
        headers = message.get("headers") or {}
        task, task_id = str(headers.get("task", "?")), headers.get("id")
        name = names.ALIASES.get(task, task)
        if name == names.PROCESS_DOCUMENT_PIPELINE and self._admit(message):
            return
        self.purged.dropped[name] += 1
        if isinstance(task_id, str) and name not in _PERIODIC and not headers.get("ignore_result"):
            backend: Any = self.app.backend
            backend.mark_as_revoked(task_id, f"purged from {self.purged.queue}", store_result=True)

    def _admit(self, message: Json) -> bool:
        """Store a document that only its message has, as the worker would have, and pause it."""
        try:
            args, kwargs = self._arguments(message)
            wish = {**dict(zip(PARAMETERS[names.PROCESS_DOCUMENT_PIPELINE], args, strict=False)), **kwargs}
            run_id, store = message["headers"]["id"], self.env.store
            admission = submit(store, self.env.settings, **wish, run_id=run_id, entered="celery")
        except (InvalidInput, KombuError, ValueError, TypeError, KeyError) as error:
            logger.warning("a document in a purged message cannot be taken: %s", type(error).__name__)
            return False
        self._pause_document(admission.document_id)
        return True

    def _arguments(self, message: Json) -> tuple[list[Any], Json]:
        body = message["body"]
        if encoding := message["properties"].get("body_encoding"):
            body = self.broker.channel.decode_body(body, encoding)
        accept = prepare_accept_content(self.app.conf.accept_content)
        args, kwargs, _ = loads(body, message["content-type"], message["content-encoding"], accept=accept)
        return list(args), dict(kwargs)


def run_of(message: Mapping[str, Any]) -> str | None:
    """The run that a message works for, from its headers; None if they tell none."""
    headers = message.get("headers")
    if not isinstance(headers, Mapping):
        return None
    name = names.ALIASES.get(str(headers.get("task")), headers.get("task"))
    run_id = headers.get("id") if name == names.PROCESS_DOCUMENT_PIPELINE else headers.get("run_id")
    return run_id if isinstance(run_id, str) else None


def _written(message: Any) -> Json:
    """A message of kombu's as a list on Redis has it, its body decoded."""
    return {
        "headers": message.headers,
        "properties": {},
        "body": message.body,
        "content-type": message.content_type,
        "content-encoding": message.content_encoding,
    }


def _parsed(raw: bytes | str) -> Json:
    try:
        message = json.loads(raw)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def kinds(dropped: Iterable[tuple[str, int]]) -> str:
    """Dropped tasks in words."""
    return ", ".join(f"{count} {name.rpartition('.')[2]}" for name, count in dropped)
