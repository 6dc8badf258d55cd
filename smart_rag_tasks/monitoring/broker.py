"""The broker's queues from outside: lengths, what is unacknowledged, how old the oldest message is.

On Redis a queue is one list a priority, and a list that is empty is no key at all; a message that a worker has taken
and not acknowledged lies in a hash, with its queue in its last words. Other brokers tell lengths only.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from ..dead_list import DEAD_LIST
from ..errors import BrokerUnreachable
from ..logging_signals import SENT_AT
from ..names import QUEUES
from ..settings import mask
from ..transport import list_lengths, queue_keys

#: Seconds to connect, and to wait for an answer: whoever asks how things are must not hang.
QUICK: Final[dict[str, Any]] = {"socket_connect_timeout": 2, "socket_timeout": 3, "health_check_interval": 0}

#: Unacknowledged messages that are looked at to tell their queues; more of them are counted, not told apart.
LOOK_AT: Final = 5000

#: What a lost connection raises, beside the errors that the transport names.
_LOST: Final[tuple[type[BaseException], ...]] = (OperationalError, OSError, redis.RedisError)

_ROUTE = re.compile(rb',\s*(?:"[^"]*"|null),\s*"([^"]*)"\s*\]\s*$')


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue at one moment."""

    name: str
    #: Messages that wait, all priorities.
    waiting: int = 0
    #: Messages in workers' hands; None where the broker does not tell.
    unacknowledged: int | None = 0
    #: Age of the oldest waiting message, seconds; None when there is none, or it does not say.
    oldest_seconds: float | None = None
    #: Waiting messages by priority, where there is more than one.
    priorities: dict[int, int] = field(default_factory=dict)


class Broker:
    """An open connection to the broker; use `open_broker`."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.channel: Any = connection.default_channel
        self.is_redis = connection.transport.driver_type == "redis"
        self.prefix: str = getattr(self.channel, "global_keyprefix", "")
        #: The key of the messages that were put aside.
        self.dead_list = self.prefix + DEAD_LIST
        self.client = redis.Redis(connection_pool=self.channel.pool) if self.is_redis else None

    def queues(self, queue_names: Sequence[str] = QUEUES) -> list[QueueState]:
        """The state of these queues."""
        if self.client is None:
            return [QueueState(name, self._declared_length(name), None) for name in queue_names]
        lengths = list_lengths(self.client, self.channel, queue_names)
        held = self.unacknowledged()
        return [
            QueueState(
                name,
                sum(lengths[name].values()),
                held[name],
                self._oldest(name, lengths[name]),
                {priority: count for priority, count in lengths[name].items() if count and len(lengths[name]) > 1},
            )
            for name in queue_names
        ]

    def length(self, queue: str) -> int:
        """How many messages wait in one queue."""
        if self.client is None:
            return self._declared_length(queue)
        return sum(list_lengths(self.client, self.channel, [queue])[queue].values())

    def keys(self, queue: str) -> dict[int, str]:
        """The lists that a queue is made of, by priority."""
        return queue_keys(self.channel, queue)

    def unacknowledged(self) -> Counter[str]:
        """How many messages of each queue are in workers' hands; "" for those that were too many to look at."""
        client, key = self.redis_client(), self.prefix + self.channel.unacked_key
        total: int = client.hlen(key)
        if total > LOOK_AT:
            return Counter({"": total})
        found: Counter[str] = Counter()
        for _, raw in client.hscan_iter(key, count=200):
            route = _ROUTE.search(raw[-600:])
            found[route[1].decode("utf-8", "replace") if route else ""] += 1
        return found

    def redis_client(self) -> redis.Redis:
        """The client on a broker that is Redis."""
        assert self.client is not None, "only on Redis"
        return self.client

    def _oldest(self, queue: str, lengths: dict[int, int]) -> float | None:
        ages = [
            age
            for step, key in self.keys(queue).items()
            if lengths[step] and (age := age_of(self.redis_client().lindex(key, -1))) is not None
        ]
        return max(ages, default=None)

    def _declared_length(self, queue: str) -> int:
        try:
            return int(self.channel.queue_declare(queue, passive=True).message_count)
        except self.connection.channel_errors:  # there is no such queue (yet)
            return 0


def age_of(raw: Any) -> float | None:
    """Seconds since a message was sent, None when it does not say."""
    try:
        sent = json.loads(raw)["headers"][SENT_AT]
        return max(0.0, round(time.time() - float(sent), 1))
    except (KeyError, TypeError, ValueError):
        return None


@contextmanager
def open_broker(app: Celery) -> Iterator[Broker]:
    """A connection for the length of a block; BrokerUnreachable within a few seconds if there is none."""
    with app.connection_for_read(transport_options=QUICK, connect_timeout=2) as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            yield Broker(connection)
        except (*_LOST, *connection.connection_errors) as error:
            raise unreachable(connection, error) from None


def unreachable(connection: Any, error: BaseException) -> BrokerUnreachable:
    """The error that names the broker, without its password, and says what to do."""
    where, reason = mask(connection.as_uri(include_password=True)), type(error.__cause__ or error).__name__
    is_redis = connection.transport.driver_type == "redis"
    check = "REDIS_URL and that Redis is up" if is_redis else "CELERY_BROKER_URL and that this broker is up"
    return BrokerUnreachable(f"the broker at {where} does not answer ({reason}): check {check}")
