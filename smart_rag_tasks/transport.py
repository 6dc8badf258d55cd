"""kombu's Redis transport, made safe against messages it cannot handle; and publishing many messages at once.

`install` puts it under kombu's own names ``redis``, ``rediss`` and ``sentinel`` (naming a custom transport in
the URL instead would drop TLS and rewrite Sentinel). What it finds unfit goes to the dead list (``dead_list``).
Celery's part of the guard, at the level of tasks, is ``consumer``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import redis
from kombu import transport as transports
from kombu.exceptions import BatchPublishError  # type: ignore[attr-defined]  # newer than the stubs
from kombu.exceptions import OperationalError as KombuError
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads

from . import dead_list
from .envelopes import envelope_problem
from .errors import BrokerUnreachable

if TYPE_CHECKING:
    from celery import Celery

    class _Base(kombu_redis.Channel):
        """What the published type stubs leave out."""

        pool: redis.ConnectionPool
        qos: Any
        _fanout_to_queue: dict[str, str]

        connection: Any

        def _connparams(self, asynchronous: bool = False) -> dict[str, Any]: ...
        def _put(self, queue: str, message: Any, **kwargs: Any) -> None: ...
        def _create_client(self, asynchronous: bool = False) -> Any: ...
        def _deliver_fanout_message(self, message: Any, exchange: str) -> bool: ...
        def _do_restore_message(
            self, payload: Any, exchange: Any, routing_key: Any, pipe: Any, leftmost: bool = False
        ) -> None: ...

else:
    _Base = object

logger = logging.getLogger(__name__)

#: Bytes of one message; larger ones are put aside unread. Settable as a transport option. Far above what we send:
#: 1 MB of chunks is 3 MB when every character is escaped, and 4 MB in base64.
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024

#: What kombu and json raise over a message that is not what they expect. KeyError is not among them: kombu counts
#: it as a lost connection, so each place where it could come from a message is checked beforehand.
UNFIT: Final = (ValueError, TypeError, AttributeError, RecursionError)

#: What publishing raises while the broker is away or takes nothing.
BROKER_AWAY: Final = (BrokerUnreachable, KombuError, redis.RedisError, OSError)

#: How the queues of answers to remote control commands end, and the seconds that they are kept.
REPLIES: Final = ".reply.celery.pidbox"
REPLIES_KEPT: Final = 300

#: Header of a message that was restored: whether its worker gave it back, or its process is gone.
GIVEN_BACK: Final = "given_back"

#: Stands for the queue of a message that does not say where it came from.
UNACKNOWLEDGED: Final = "unacked"


def install() -> None:
    """Make every Redis connection of kombu in this process a guarded one. Any number of times."""
    guarded = {"redis": "Guarded", "rediss": "Guarded", "sentinel": "GuardedSentinel"}
    for alias, name in guarded.items():
        transports.TRANSPORT_ALIASES[alias] = f"{__name__}:{name}Transport"
        cached: dict[str, Any] = transports._transport_cache  # type: ignore[attr-defined]  # not in the stubs
        cached.pop(alias, None)


class Guard(_Base):
    """A mixin for kombu's Redis channels: unfit messages are put aside before anything can stumble over them."""

    _connection_parameters: dict[str, Any] | None = None
    _client: Any = None

    from_transport_options = (*kombu_redis.Channel.from_transport_options, "max_message_bytes")
    max_message_bytes = MAX_MESSAGE_BYTES
    #: Whether what is restored now is what this process has in hand, at its end or after a lost connection.
    gives_back = False

    def problem_of(self, raw: bytes) -> str | None:
        """Why this cannot be delivered, None when it can."""
        if len(raw) > self.max_message_bytes:
            return f"larger than {self.max_message_bytes} bytes"
        try:
            return envelope_problem(loads(raw.decode("utf-8")))
        except UnicodeDecodeError:
            return "not UTF-8"
        except UNFIT:
            return "not JSON"

    def bury(self, queue: str, reason: str, raw: bytes) -> None:
        """Put a message aside. It is gone from its queue already, so a failure here can only be told."""
        logger.error("message put aside queue=%r reason=%r bytes=%d", queue, reason, len(raw))
        try:
            # Not kombu's own client: that one prefixes the keys of some commands and not of others.
            with redis.Redis(connection_pool=self.pool) as client:
                dead_list.bury(client, queue, reason, raw, key=self.global_keyprefix + dead_list.DEAD_LIST)
        except redis.RedisError as error:
            logger.error("message not kept queue=%r error=%s", queue, type(error).__name__)  # noqa: TRY400

    # -- to a queue

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        """An answer to a remote control command whose asker has gone meanwhile would lie there for ever."""
        super()._put(queue, message, **kwargs)
        if queue.endswith(REPLIES):
            with self.conn_or_acquire() as client:
                client.pexpire(queue, REPLIES_KEPT * 1000)  # kombu prefixes its key, but not that of EXPIRE

    # -- from a queue: BRPOP's reply is looked at before kombu gets it; None tells kombu that nothing came

    def _create_client(self, asynchronous: bool = False) -> Any:
        """kombu makes a new client for every command; making one costs more than most commands, so it is kept."""
        if not asynchronous:
            if self._client is None or self._client.connection_pool is not self.pool:
                self._client = super()._create_client()
            return self._client
        client = super()._create_client(asynchronous=True)
        given = client.response_callbacks.get("BRPOP", lambda reply, **options: reply)
        client.set_response_callback("BRPOP", lambda reply, **options: self._sound(given(reply, **options)))
        return client

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        """Kept once known: Celery 5.7 closes a lost connection twice, and acknowledges on it later, when kombu has
        forgotten where it led to. The AttributeError that plain kombu raises then ends the worker.
        """
        if self.connection.client is not None:
            parameters: dict[str, Any] = super()._connparams(asynchronous=asynchronous)
            if not asynchronous:
                self._connection_parameters = parameters
            return parameters
        if self._connection_parameters is None:
            raise redis.ConnectionError("the connection of this channel is closed")
        return self._connection_parameters

    def _sound(self, reply: tuple[bytes, bytes] | None) -> tuple[bytes, bytes] | None:
        if not reply:
            return None
        key, raw = reply
        problem = self.problem_of(raw)
        if problem is None:
            return reply
        self.bury(bytes_to_str(key).removeprefix(self.global_keyprefix).split(self.sep)[0], problem, raw)
        return None

    # -- from a broadcast: nothing durable is lost with it

    def _deliver_fanout_message(self, message: Any, exchange: str) -> bool:
        problem = envelope_problem(message)
        if problem is None:
            try:
                return bool(super()._deliver_fanout_message(message, exchange))
            except (*UNFIT, KeyError) as error:  # gossip takes what it gets for an event
                problem = f"{type(error).__name__} while it was taken in"
        logger.error("broadcast dropped exchange=%r reason=%r", exchange, problem)
        return False

    # -- from the unacknowledged messages of a dead worker, which may have run without this guard

    def _do_restore_message(
        self, payload: Any, exchange: Any, routing_key: Any, pipe: Any, leftmost: bool = False
    ) -> None:
        problem = envelope_problem(payload)
        if problem is None and not (isinstance(exchange, str) and isinstance(routing_key, str)):
            problem = "no destination"
        if problem is not None:  # kombu would log all of it, and drop it
            self.bury(_text(routing_key), problem, dumps(payload).encode())
            return
        payload["headers"][GIVEN_BACK] = self.gives_back  # kombu only marks that it was delivered before
        super()._do_restore_message(payload, exchange, routing_key, pipe, leftmost)

    def bury_unacknowledged(self, tag: str) -> None:
        """Put aside what is stored under a delivery tag and cannot be read."""
        with self.conn_or_acquire() as client:
            raw = client.hget(self.unacked_key, tag)
            if raw is not None:
                self.bury(UNACKNOWLEDGED, "an unacknowledged message that cannot be read", raw)
            self.qos._remove_from_indices(tag).execute()


class GuardedQoS(kombu_redis.QoS):
    """kombu's list of unacknowledged messages; an unreadable one stops neither the sweep nor a worker's start."""

    channel: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Messages whose work is done and that Redis still holds: told with the next one.
        self._owed: list[str] = []

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge; a message that Redis could not be told of must not hold its worker's slot for ever."""
        try:
            super().ack(delivery_tag)
        except (redis.RedisError, OSError):
            virtual.QoS.ack(self, delivery_tag)
            self._owed.append(delivery_tag)
            raise
        with suppress(redis.RedisError, OSError):
            while self._owed:
                self._remove_from_indices(self._owed[-1]).execute()  # type: ignore[attr-defined]  # not in the stubs
                self._owed.pop()

    def restore_unacked(self, client: Any | None = None) -> None:
        """What this process has in hand goes back, begun or not: nothing has died of it."""
        self.channel.gives_back = True
        try:
            super().restore_unacked(client)
        finally:
            self.channel.gives_back = False

    def restore_by_tag(self, tag: str, client: Any | None = None, leftmost: bool = False) -> None:
        try:
            super().restore_by_tag(tag, client=client, leftmost=leftmost)
        except UNFIT:
            self.channel.bury_unacknowledged(tag)


class GuardedChannel(Guard, kombu_redis.Channel):
    """A guarded channel of one Redis."""

    QoS = GuardedQoS


class GuardedSentinelChannel(Guard, kombu_redis.SentinelChannel):
    """A guarded channel of a Redis found through Sentinel."""

    from_transport_options = (*kombu_redis.SentinelChannel.from_transport_options, "max_message_bytes")
    QoS = GuardedQoS

    def _get_pool(self, asynchronous: bool = False) -> Any:
        if self.connection.client is None:
            raise redis.ConnectionError("the connection of this channel is closed")
        return super()._get_pool(asynchronous)  # type: ignore[misc]  # not in the stubs


class GuardedTransport(kombu_redis.Transport):
    """What ``redis://`` and ``rediss://`` mean after `install`."""

    Channel = GuardedChannel


class GuardedSentinelTransport(kombu_redis.SentinelTransport):
    """What ``sentinel://`` means after `install`."""

    Channel = GuardedSentinelChannel


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def is_redis(app: Celery) -> bool:
    """Whether the broker is a Redis (or found through Sentinel); else it is RabbitMQ."""
    return str(app.connection_for_read().transport.driver_type) == "redis"


def key_prefix(app: Celery) -> str:
    """What all keys of the broker's Redis begin with: the transport option ``global_keyprefix``."""
    return str((app.conf.broker_transport_options or {}).get("global_keyprefix", ""))


def queue_keys(channel: Any, queue: str) -> dict[int, str]:
    """The lists of Redis that a queue is made of, by priority."""
    return {step: channel.global_keyprefix + channel._q_for_pri(queue, step) for step in channel.priority_steps}


def list_lengths(client: redis.Redis, channel: Any, queues: Sequence[str]) -> dict[str, dict[int, int]]:
    """How many messages wait in these queues of a Redis, by priority."""
    keys = [(queue, step, key) for queue in queues for step, key in queue_keys(channel, queue).items()]
    lengths: dict[str, dict[int, int]] = {queue: {} for queue in queues}
    with client.pipeline(transaction=False) as pipe:
        for _, _, key in keys:
            pipe.llen(key)
        for (queue, step, _), length in zip(keys, pipe.execute(), strict=True):
            lengths[queue][step] = int(length)
    return lengths


@contextmanager
def queue_lengths(app: Celery) -> Iterator[Callable[[str], int]]:
    """A function that says how many messages wait in a queue; 0 for one that nobody has declared yet."""
    with app.connection_for_read() as connection:
        if is_redis(app):
            channel: Any = connection.default_channel
            client = redis.Redis(connection_pool=channel.pool)
            yield lambda queue: sum(list_lengths(client, channel, [queue])[queue].values())
            return

        def declared(queue: str) -> int:
            asking: Any
            try:
                with connection.channel() as asking:  # an unknown queue closes its channel
                    return int(asking.queue_declare(queue, passive=True).message_count)
            except connection.channel_errors:
                return 0

        yield declared


@contextmanager
def broker_client(app: Celery) -> Iterator[redis.Redis]:
    """A client of the broker's Redis (bytes), however its URL says that: for the functions of ``dead_list``."""
    with app.connection_for_read() as connection:
        channel: Any = connection.default_channel
        yield redis.Redis(connection_pool=channel.pool)


#: The producer of the `batch_publishing` block that this thread is in.
_lent: ContextVar[Any] = ContextVar("lent", default=None)


@contextmanager
def batch_publishing(app: Celery) -> Iterator[Any]:
    """Send all tasks that are published in the block in one go when it ends; if it raises, none of them.

    ``with batch_publishing(app): signature.apply_async()``: a chord of n header tasks takes one round trip instead
    of n. Never wait for a result in the block. Raises BrokerUnreachable: how much arrived is then unknown.
    """
    _let_lend(app)
    producer: Any  # the stubs know no batches
    with app.producer_pool.acquire(block=True) as producer:
        if not producer.supports_batch_publish and is_redis(app):
            logger.warning("messages are sent one by one: remove retry_on_timeout from broker_transport_options")
        try:
            with producer.batch():
                token = _lent.set(producer)
                try:
                    yield producer
                finally:
                    _lent.reset(token)
        except BatchPublishError as error:
            raise BrokerUnreachable("the broker broke off while tasks were sent to it") from error


def _let_lend(app: Any) -> None:
    """Make the app use the block's producer wherever it would take one from its pool.

    Handing it to ``apply_async(producer=…)`` is not enough: a chord does not pass it on to its header.
    """
    acquire = app.producer_or_acquire
    if getattr(acquire, "lends", False):
        return

    def producer_or_acquire(producer: Any = None) -> Any:
        return acquire(producer or _lent.get())

    producer_or_acquire.lends = True  # type: ignore[attr-defined]
    app.producer_or_acquire = producer_or_acquire
