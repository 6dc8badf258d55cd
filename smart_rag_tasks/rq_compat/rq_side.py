"""RQ's side of a move: what waits there, what runs there, pausing and resuming its workers."""

from __future__ import annotations

import json
import pickletools
import socket
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import psutil
from redis import Redis
from redis.exceptions import RedisError

from ..errors import BrokerUnreachable
from ..names import PROCESS_DOCUMENT_PIPELINE, QUEUES
from .items import RUN, UPKEEP, Item
from .monitor import REGISTRIES, RQMonitor, text
from .queues import FUNCTIONS, LEGACY_FUNCTIONS, RESULT_TTL, connect, send
from .worker import set_pause

#: Jobs read in one round trip.
PAGE: Final = 200

#: Seconds that our workers stay paused when the move is killed.
PAUSE: Final = 900

#: Bytes of a payload that are looked into.
MOST_BYTES: Final = 16 * 1024 * 1024

#: Items on their way to the other side, by id.
HELD_KEY: Final = "smart_rag_tasks:moving:rq"

_TASKS: Final = {function: task for task, function in FUNCTIONS.items()}
_TASKS_OF: Final = _TASKS | {name: _TASKS[function] for name, function in LEGACY_FUNCTIONS.items()}

_CLAIM: Final = """
local removed
if ARGV[4] == 'list' then removed = redis.call('LREM', KEYS[1], 1, ARGV[2])
else removed = redis.call('ZREM', KEYS[1], ARGV[2]) end
if removed == 0 then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return 1
"""


class RQSide:
    """What a move does on RQ's side. Raises BrokerUnreachable when Redis does not answer."""

    name = "rq"
    readable = True

    def __init__(self, connection: Redis | None = None) -> None:
        self.connection = connection or connect()
        self.monitor = RQMonitor(self.connection)

    def check(self) -> None:
        """Raise BrokerUnreachable when Redis is away."""
        try:
            self.connection.ping()
        except RedisError as error:
            raise BrokerUnreachable(
                f"RQ's Redis does not answer ({type(error).__name__}): check SMART_RAG_RQ_URL, or REDIS_URL;"
                " nothing was changed since the last step, run the command again when it is back"
            ) from None

    # -- workers

    def consumers(self) -> dict[str, int]:
        """Workers by queue that they listen on."""
        workers = [worker for worker in self.monitor.workers() if not _is_dead(worker.hostname, worker.pid)]
        return {queue: sum(1 for worker in workers if queue in worker.queues) for queue in QUEUES}

    def stop_intake(self) -> dict[str, list[str]]:
        """Let our workers take nothing new; plain RQ workers go on, and claim their jobs as we do."""
        set_pause(self.connection, PAUSE)
        return {}

    def resume_intake(self, _before: Mapping[str, Sequence[str]]) -> None:
        """Let our workers go on."""
        set_pause(self.connection, 0)

    def running(self) -> set[str]:
        """Ids of jobs of ours that a living worker executes now."""
        return {item.id for item in self._registry("started") if item.kind != UPKEEP and item.task}

    def reserved(self) -> set[str]:
        """RQ takes a job when it begins it."""
        return set()

    def forget(self, _ids: Iterable[str]) -> None:
        """Nothing: see `reserved`."""

    # -- jobs

    def items(self) -> Iterator[Item]:
        """Everything in our queues that is not finished, failed or in the hands of a living worker."""
        for queue in QUEUES:
            key = f"rq:queue:{queue}"
            yield from self._jobs("waiting", queue, self._list(key))
            yield from self._jobs("taken", queue, self._list(f"{key}:intermediate"))
            for place in ("scheduled", "deferred"):
                yield from self._jobs(place, queue, self._members(place, queue))
        yield from self._registry("started", dead=True)

    def _list(self, key: str) -> Iterator[str]:
        for start in range(0, self.connection.llen(key), PAGE):
            yield from map(text, self.connection.lrange(key, start, start + PAGE - 1))

    def _members(self, registry: str, queue: str) -> list[str]:
        return [text(member) for member in self.connection.zrange(REGISTRIES[registry].format(queue), 0, -1)]

    def _registry(self, registry: str, *, dead: bool = False) -> Iterator[Item]:
        """Started jobs whose worker lives, or ``dead``: died."""
        for queue in QUEUES:
            members = [member for member in self._members(registry, queue) if self._worker_is_dead(member) is dead]
            yield from self._jobs("taken", queue, members)

    def _worker_is_dead(self, member: str) -> bool:
        name = self.connection.hget(f"rq:execution:{member}", "worker_name")
        fields = self.connection.hmget(f"rq:worker:{text(name or b'')}", "hostname", "pid", "death")
        host, pid, death = (text(field or b"") for field in fields)
        return not pid or bool(death) or _is_dead(host, int(pid))

    def _jobs(self, place: str, queue: str, members: Iterable[str]) -> Iterator[Item]:
        listed = list(members)
        for start in range(0, len(listed), PAGE):
            page = listed[start : start + PAGE]
            with self.connection.pipeline(transaction=False) as pipe:
                for member in page:
                    pipe.hget(f"rq:job:{member.split(':')[0]}", "data")
                found = pipe.execute()
            for member, data in zip(page, found, strict=True):
                if data is not None:  # else its hash has expired: RQ passes over it
                    yield parse(data, member, place, queue)

    def drop(self, items: Sequence[Item]) -> int:
        """Take jobs out whose work is in the store; returns how many were still there."""
        taken = 0
        for item in items:
            with self.connection.pipeline() as pipe:
                for key, kind in self._places(item):
                    pipe.lrem(key, 1, text(item.handle)) if kind == "list" else pipe.zrem(key, item.handle)
                removed = any(pipe.execute())
            if removed:
                self._mark_moved(item)
                taken += 1
        return taken

    def _places(self, item: Item) -> list[tuple[str, str]]:
        """Where the item may lie: key and ``list`` or ``set``."""
        key = f"rq:queue:{item.queue}"
        if item.place == "waiting":
            return [(key, "list")]
        if item.place == "taken":
            return [(f"{key}:intermediate", "list"), (REGISTRIES["started"].format(item.queue), "set")]
        return [(REGISTRIES[item.place].format(item.queue), "set")]

    def _mark_moved(self, item: Item) -> None:
        """Nobody waits for it in vain: the job is canceled, and forgotten after a day."""
        key = f"rq:job:{item.id}"
        with self.connection.pipeline() as pipe:
            pipe.hset(key, "status", "canceled")
            pipe.expire(key, RESULT_TTL)
            pipe.execute()

    def claim(self, item: Item) -> bool:
        """Take an item out and hold it for the other side, in one step; False when a worker was faster."""
        held = json.dumps({"id": item.id, "queue": item.queue})
        return any(
            bool(self.connection.eval(_CLAIM, 2, key, HELD_KEY, item.id, text(item.handle), held, kind))
            for key, kind in self._places(item)
        )

    def held(self) -> Iterator[Item]:
        """Items that were claimed, by this move or one that was broken off, and have not arrived."""
        for raw in self.connection.hvals(HELD_KEY):
            held = json.loads(raw)
            yield from self._jobs("held", held["queue"], [held["id"]])

    def release(self, item: Item) -> None:
        """The item has arrived on the other side."""
        self._mark_moved(item)
        self.connection.hdel(HELD_KEY, item.id)

    def send(self, item: Item) -> None:
        """Send a single item as a job."""
        send(self.connection, item.task, item.args, dict(item.kwargs), description="", job_id=item.id)


def parse(data: bytes, member: str, place: str, queue: str) -> Item:
    """A job's ``data`` as an item; it is never unpickled, a pickled job's function is read from its opcodes."""
    id_, handle = member.partition(":")[0], member.encode()
    try:
        plain = _decompress(data)
        function, _instance, args, kwargs = json.loads(plain)
    except (ValueError, TypeError, zlib.error):
        plain = _decompress(data)
        reason = "pickled" if plain[:1] == b"\x80" else "unreadable"
        return Item(id_, place, queue, _pickled_name(plain), reason=reason, handle=handle, size=len(data))
    task = _TASKS_OF.get(function, "")
    item = Item(id_, place, queue, str(function), task, args, kwargs, handle=handle, size=len(data))
    if not task or (item.kind != RUN and not _fits(item)):
        return Item(id_, place, queue, str(function), reason="unknown function", handle=handle, size=len(data))
    return item


def _fits(item: Item) -> bool:
    """Whether an older installation's function of the same name has the arguments that ours takes."""
    if item.task == PROCESS_DOCUMENT_PIPELINE or item.function not in LEGACY_FUNCTIONS:
        return True
    named = ("chunk_id", "chunk_text", "document_id")
    given = {**dict(zip(named, item.args, strict=False)), **item.kwargs}
    return len(item.args) <= len(named) and set(given) == set(named)


def _decompress(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MOST_BYTES)
    except zlib.error:
        return data


def _pickled_name(plain: bytes) -> str:
    """The first text in a pickle, which is RQ's function name; nothing is executed."""
    try:
        for opcode, argument, _position in pickletools.genops(plain):
            if isinstance(argument, str) and "UNICODE" in opcode.name:
                return argument[:200]
    except (ValueError, IndexError):
        pass
    return "?"


def _is_dead(host: str, pid: int) -> bool:
    """True when a process of this machine certainly is no more."""
    return bool(host) and host == socket.gethostname() and not psutil.pid_exists(pid)
