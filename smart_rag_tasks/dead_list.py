"""Messages that no worker can take, put aside in Redis where they can be looked at, sent again or dropped.

A Redis stream beside the queues, bounded in number, bytes and age. What is kept of a message may hold the text
of chunks (from producers without the store), so it stays in Redis, goes into no log, and expires.
Who calls `bury`: ``transport`` and ``consumer``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .errors import InvalidInput

if TYPE_CHECKING:
    import redis

#: The stream's key, in the broker's database.
DEAD_LIST: Final = "smart_rag_tasks.dead_list"
#: Messages kept; the oldest go first.
LIMIT: Final = 10_000
#: Bytes that Redis may spend on all of them: a flood of large messages must not push out the queues.
MAX_BYTES: Final = 64 * 1024 * 1024
#: Bytes kept of one message.
RAW_LIMIT: Final = 64 * 1024
#: Seconds after which a message is forgotten.
EXPIRES: Final = 7 * 86_400


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message that was put aside."""

    #: The stream's id: ``milliseconds-n``.
    id: str
    #: Unix time.
    at: float
    queue: str
    #: Why, in words; never what was in it.
    reason: str
    #: Bytes of the whole message.
    size: int
    #: The message as it was found, its first RAW_LIMIT bytes.
    raw: bytes
    #: The task's name, "" when the message does not say.
    task: str

    @property
    def complete(self) -> bool:
        """Whether all of it was kept, so that it can be sent again."""
        return len(self.raw) == self.size


def bury(client: redis.Redis, queue: str, reason: str, raw: bytes, *, key: str = DEAD_LIST) -> None:
    """Put one message aside; raises redis.RedisError."""
    fields = {
        "queue": queue,
        "reason": reason,
        "size": str(len(raw)),
        "task": _task_name(raw),
        "raw": raw[:RAW_LIMIT],
    }
    oldest = int((time.time() - EXPIRES) * 1000)
    with client.pipeline(transaction=False) as pipe:
        pipe.xadd(key, fields, maxlen=LIMIT, approximate=True)  # type: ignore[arg-type]  # invariant dict
        pipe.xtrim(key, minid=str(oldest), approximate=True)
        pipe.expire(key, EXPIRES)
        pipe.memory_usage(key)
        pipe.xlen(key)
        *_, used, length = pipe.execute()
    if used and used > MAX_BYTES:
        client.xtrim(key, maxlen=length // 2, approximate=True)


def dead_messages(client: redis.Redis, limit: int = 100, *, key: str = DEAD_LIST) -> list[DeadMessage]:
    """Those put aside, the newest first; ``client`` must give bytes (no ``decode_responses``)."""
    entries: Any = client.xrevrange(key, count=limit)
    return [_parse(*entry) for entry in entries]


def count(client: redis.Redis, *, key: str = DEAD_LIST) -> int:
    """How many are put aside."""
    return int(client.xlen(key))


def find(client: redis.Redis, id: str, *, key: str = DEAD_LIST) -> DeadMessage:
    """One of them; raises InvalidInput when it is not, or no longer, there."""
    import redis

    entries: Any
    try:
        entries = client.xrange(key, id, id)
    except redis.ResponseError:
        entries = []
    if not entries:
        raise InvalidInput(f"no dead message {id}: `smart-rag-tasks dead-letters list` shows those there are")
    return _parse(*entries[0])


def forget(client: redis.Redis, ids: Iterable[str] | None = None, *, key: str = DEAD_LIST) -> int:
    """Drop these, or all when ``ids`` is None; gives how many there were."""
    if ids is None:
        with client.pipeline() as pipe:
            pipe.xlen(key)
            pipe.delete(key)
            return int(pipe.execute()[0])
    found = [find(client, id, key=key).id for id in ids]
    return int(client.xdel(key, *found)) if found else 0


def expire(client: redis.Redis, *, key: str = DEAD_LIST) -> int:
    """Drop those older than EXPIRES; gives how many there were."""
    oldest = int((time.time() - EXPIRES) * 1000)
    return int(client.xtrim(key, minid=str(oldest), approximate=False))


def requeue(client: redis.Redis, id: str, *, key: str = DEAD_LIST, queue_prefix: str = "") -> str:
    """Put one back at the end of its queue, unchanged; gives the queue. Raises InvalidInput."""
    message = find(client, id, key=key)
    if not message.complete:
        raise InvalidInput(
            f"of message {id} only {len(message.raw)} of {message.size} bytes were kept: it cannot be sent again;"
            " its document is worked on from the store"
        )
    with client.pipeline() as pipe:  # both or none
        pipe.lpush(queue_prefix + message.queue, message.raw)
        pipe.xdel(key, message.id)
        pipe.execute()
    return message.queue


def _parse(id: bytes, fields: Mapping[bytes, bytes]) -> DeadMessage:
    def text(name: bytes) -> str:
        return fields.get(name, b"").decode("utf-8", "replace")

    identity = id.decode()
    return DeadMessage(
        id=identity,
        at=int(identity.partition("-")[0]) / 1000,
        queue=text(b"queue"),
        reason=text(b"reason"),
        size=int(fields.get(b"size", b"0")),
        raw=fields.get(b"raw", b""),
        task=text(b"task"),
    )


def _task_name(raw: bytes) -> str:
    """The name in the message's headers, if it can be read at all."""
    if len(raw) > MAX_BYTES:
        return ""
    try:
        message: Any = json.loads(raw)
        name = message["headers"]["task"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return name.encode("utf-8", "replace").decode()[:200] if isinstance(name, str) else ""
