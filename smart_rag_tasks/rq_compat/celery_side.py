"""Celery's side of a move: what waits there, what runs there, stopping and resuming its workers.

Messages are looked into where the broker is Redis. With another broker only runs are moved, through the store; what is
left in the queues finds, when it is delivered, that its run is somewhere else or done.
"""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from kombu.exceptions import OperationalError
from kombu.serialization import loads, prepare_accept_content
from redis import Redis
from redis.exceptions import RedisError

from ..celery import app
from ..errors import BrokerUnreachable
from ..names import ALIASES, QUEUES, TASK_QUEUES, queue_of
from ..transport import broker_client, key_prefix
from .items import Item

#: Seconds that workers get to answer.
ANSWER: Final = 2.0

#: Seconds for which the list of workers holds.
KNOWN: Final = 10.0

#: Messages read in one round trip.
PAGE: Final = 500

#: How kombu's Redis transport names the list of a priority.
_SEPARATOR, _PRIORITIES = "\x06\x16", ("", "3", "6", "9")

#: Claims an item: out of its place and into the hash of what is on its way, or nothing at all.
_CLAIM_WAITING: Final = """
if redis.call('LREM', KEYS[1], -1, ARGV[2]) == 0 then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return 1
"""
_CLAIM_TAKEN: Final = """
if redis.call('HDEL', KEYS[1], ARGV[2]) == 0 then return 0 end
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return 1
"""

#: Items on their way to the other side, by id.
HELD_KEY: Final = "smart_rag_tasks:moving:celery"


class CelerySide:
    """What a move does on Celery's side. Raises BrokerUnreachable when the broker does not answer."""

    name = "celery"

    def __init__(self) -> None:
        self._prefix = key_prefix(app)
        self._known: tuple[float, list[str]] = (0.0, [])

    def check(self) -> None:
        """Raise BrokerUnreachable when the broker is away."""
        try:
            with app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=5)
        except (OSError, OperationalError, RedisError) as error:
            raise _unreachable(error) from None

    @property
    def readable(self) -> bool:
        """Whether queues can be looked into."""
        return app.connection_for_read().transport.driver_type == "redis"

    # -- workers

    def consumers(self) -> dict[str, int]:
        """Workers by queue that they consume from now."""
        counts: Counter[str] = Counter(dict.fromkeys(QUEUES, 0))
        for queues in self._active_queues().values():
            counts.update(queues)
        return dict(counts)

    def _workers(self) -> list[str]:
        """Who answers; asked again after a while, since asking takes the whole time that a late answer may."""
        if time.monotonic() - self._known[0] > KNOWN:
            answers = app.control.inspect(timeout=ANSWER).ping() or {}
            self._known = (time.monotonic(), sorted(answers))
        return self._known[1]

    def _ask(self, what: str) -> dict[str, Any]:
        workers = self._workers()
        if not workers:
            return {}
        inspect = app.control.inspect(destination=workers, timeout=ANSWER, limit=len(workers))
        answers: dict[str, Any] = getattr(inspect, what)() or {}
        return answers

    def _active_queues(self) -> dict[str, list[str]]:
        answers = self._ask("active_queues")
        return {worker: [queue["name"] for queue in queues] for worker, queues in answers.items()}

    def stop_intake(self) -> dict[str, list[str]]:
        """Cancel the consumers of our queues; returns which worker consumed from which, for `resume_intake`."""
        active = self._active_queues()
        before = {worker: [name for name in queues if name in QUEUES] for worker, queues in active.items()}
        for queue in QUEUES:
            workers = [worker for worker, queues in before.items() if queue in queues]
            if workers:
                app.control.cancel_consumer(queue, destination=workers, reply=True, timeout=ANSWER, limit=len(workers))
        return before

    def resume_intake(self, before: Mapping[str, Sequence[str]]) -> None:
        """Let the workers consume again, each from its queues in their order: the first is served first."""
        for worker, queues in before.items():
            for queue in (name for name in QUEUES if name in queues):
                app.control.add_consumer(queue, destination=[worker], reply=True, timeout=ANSWER, limit=1)

    def running(self) -> set[str]:
        """Ids of tasks of ours that workers execute now."""
        return self._held_by_workers("active")

    def reserved(self) -> set[str]:
        """Ids of tasks of ours that workers have taken and not begun, retries with a due time included."""
        return self._held_by_workers("reserved") | self._held_by_workers("scheduled")

    def _held_by_workers(self, what: str) -> set[str]:
        tasks = [entry.get("request", entry) for listed in self._ask(what).values() for entry in listed]
        return {str(task["id"]) for task in tasks if ALIASES.get(task["name"], task["name"]) in TASK_QUEUES}

    def forget(self, ids: Iterable[str]) -> None:
        """Tell workers to drop what they have taken and not begun."""
        listed = list(ids)
        if listed:
            app.control.revoke(listed)

    # -- messages

    def items(self) -> Iterator[Item]:
        """Everything in our queues and among the unacknowledged messages."""
        if not self.readable:
            return
        try:
            with broker_client(app) as client:
                yield from self._waiting(client)
                yield from self._unacknowledged(client)
        except RedisError as error:
            raise _unreachable(error) from None

    def _keys(self, queue: str) -> list[str]:
        return [self._prefix + queue + (_SEPARATOR + priority if priority else "") for priority in _PRIORITIES]

    def _waiting(self, client: Redis) -> Iterator[Item]:
        for queue in QUEUES:
            for key in self._keys(queue):
                for start in range(0, client.llen(key), PAGE):
                    page: list[Any] = client.lrange(key, start, start + PAGE - 1)
                    for raw in page:
                        yield parse(raw, "waiting", queue, handle=raw)

    def _unacknowledged(self, client: Redis) -> Iterator[Item]:
        for tag, raw in client.hscan_iter(self._prefix + "unacked", count=PAGE):
            try:
                message, _exchange, routing_key = json.loads(raw)
            except (ValueError, TypeError):
                yield Item("", "taken", "", "", reason="unreadable", handle=tag, size=len(raw))
                continue
            if routing_key in QUEUES:
                yield parse(json.dumps(message).encode(), "taken", routing_key, handle=tag)

    def drop(self, items: Sequence[Item]) -> int:
        """Take messages out whose work is in the store; returns how many were still there."""
        with broker_client(app) as client, client.pipeline(transaction=False) as pipe:
            for item in items:
                if item.place == "taken":
                    pipe.hdel(self._prefix + "unacked", item.handle)
                    pipe.zrem(self._prefix + "unacked_index", item.handle)
                    continue
                for key in self._keys(item.queue):
                    pipe.lrem(key, -1, item.handle)  # type: ignore[arg-type]  # bytes are fine
            return sum(1 for removed in pipe.execute() if removed) if items else 0

    def claim(self, item: Item) -> bool:
        """Take an item out and hold it for the other side, in one step; False when a worker was faster."""
        with broker_client(app) as client:
            held = json.dumps({"raw": self._raw(client, item).decode(), "queue": item.queue})
            if item.place == "taken":
                keys = [self._prefix + "unacked", HELD_KEY, self._prefix + "unacked_index"]
                return bool(client.eval(_CLAIM_TAKEN, 3, *keys, item.id, item.handle, held))
            claims = (
                client.eval(_CLAIM_WAITING, 2, key, HELD_KEY, item.id, item.handle, held)
                for key in self._keys(item.queue)
            )
            return any(bool(claim) for claim in claims)

    def _raw(self, client: Redis, item: Item) -> bytes:
        if item.place != "taken":
            return item.handle
        found: Any = client.hget(self._prefix + "unacked", item.handle)
        return json.dumps(json.loads(found)[0]).encode() if found else b"{}"

    def held(self) -> Iterator[Item]:
        """Items that were claimed, by this move or one that was broken off, and have not arrived."""
        if not self.readable:
            return
        with broker_client(app) as client:
            for raw in client.hvals(HELD_KEY):
                held = json.loads(raw)
                yield parse(held["raw"].encode(), "held", held["queue"])

    def release(self, item: Item) -> None:
        """The item has arrived on the other side."""
        with broker_client(app) as client:
            client.hdel(HELD_KEY, item.id)

    def send(self, item: Item) -> None:
        """Send a single item as a task; the same id again is the same task."""
        app.send_task(item.task, item.args, dict(item.kwargs), task_id=item.id, queue=queue_of(item.task))


def parse(raw: bytes, place: str, queue: str, *, handle: bytes = b"") -> Item:
    """A message of kombu's as an item; one that is not ours, or cannot be read, says so in ``reason``."""
    found = Item("", place, queue, "", reason="unreadable", handle=handle, size=len(raw))
    try:
        message = json.loads(raw)
        headers = message["headers"]
        name, id_ = str(headers["task"]), str(headers["id"])
    except (ValueError, KeyError, TypeError):
        return found
    task = ALIASES.get(name, name)
    if task not in TASK_QUEUES:
        return Item(id_, place, queue, name, reason="unknown function", handle=handle, size=len(raw))
    if headers.get("eta") and place == "taken":
        place = "scheduled"
    try:
        args, kwargs, embed = _body(message)
    except Exception:  # whatever a serializer says of bytes that are not its own
        return Item(id_, place, queue, name, reason="unreadable", handle=handle, size=len(raw))
    callbacks = (embed or {}).get("callbacks") or ()
    return Item(id_, place, queue, name, task, args, kwargs, callbacks, handle=handle, size=len(raw))


def _body(message: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    body = message["body"]
    if message["properties"].get("body_encoding") == "base64":
        body = base64.b64decode(body)
    accept = prepare_accept_content(app.conf.accept_content)
    args, kwargs, embed = loads(body, message["content-type"], message["content-encoding"], accept=accept)
    return args, kwargs, embed


def _unreachable(error: Exception) -> BrokerUnreachable:
    return BrokerUnreachable(
        f"Celery's broker does not answer ({type(error).__name__}): check REDIS_URL; nothing was changed since the last"
        " step, run the command again when it is back"
    )
