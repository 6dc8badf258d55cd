"""Celery's consumer, made safe against task messages it cannot handle: they are put aside, the worker lives on.

Set as ``worker_consumer``. What is wrong with a message before Celery sees it is ``transport``'s business.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from celery import signals
from celery.events.dispatcher import EventDispatcher
from celery.exceptions import InvalidTaskError, NotRegistered
from celery.utils.functional import noop
from celery.worker import state
from celery.worker.consumer import Consumer
from kombu.exceptions import ContentDisallowed, DecodeError, OperationalError
from kombu.pidbox import Node
from kombu.utils.json import dumps
from redis.exceptions import OutOfMemoryError, ReadOnlyError

from .envelopes import task_problem
from .errors import ForgedPayload
from .instrumentation import context
from .names import ALIASES

logger = logging.getLogger(__name__)

#: Tasks whose work is in the store: when one is unknown (half a deploy), the sweep sends it again.
_OURS: Final = "smart_rag_tasks."
#: What Celery raises over a message on purpose.
_EXPECTED: Final = (ContentDisallowed, DecodeError, InvalidTaskError)


def _translate(message: Any) -> None:
    """The requirements document's bare names are answered by our tasks."""
    name = message.headers.get("task")
    if name in ALIASES:
        message.headers["task"] = ALIASES[name]


#: What ends a plain worker and is as good as a lost connection: the connection is lost while the worker says hello to
#: others (StopIteration); a child died while there was none (ValueError: its file descriptor is None); Redis is full,
#: or a replica for now, and does not take the note that a message is in work.
_LOST_IN_DISGUISE: Final = (StopIteration, ValueError, OutOfMemoryError, ReadOnlyError)

#: Seconds that events wait for others: sent one by one, they are a third of the main process's work.
_EVENTS_PAUSE: Final = 0.2

#: Seconds until the next try: each one may take a message that then only the sweep brings back.
_PAUSE: Final = 2.0


class Reconnecting(Consumer.Blueprint):  # type: ignore[misc, valid-type]  # no stubs
    """Celery's steps of a consumer; those errors make it connect again, where they would end the worker."""

    def start(self, parent: Any) -> None:
        """Run until the connection is lost, or the worker is to stop."""
        try:
            super().start(parent)
        except _LOST_IN_DISGUISE as error:
            logger.warning("the consumer broke off (%r); connecting again", error)
            time.sleep(_PAUSE)
            with suppress(Exception):  # dead children are replaced: else the next round would end at the same one
                parent.pool.maintain_pool()
            raise ConnectionError("the consumer broke off") from error

    def shutdown(self, parent: Any) -> None:
        """End all steps; some ask the connection what its errors are, and plain Celery fails where there is none."""
        parent.connection = parent.connection or parent.app.connection_for_read()
        super().shutdown(parent)


class GuardedNode(Node):
    """A worker's end of remote control; plain Celery subscribes anew over a command that it cannot read, and what is
    sent meanwhile is lost.
    """

    mailbox: Any

    def handle_message(self, body: Any, message: Any = None) -> None:
        """Do what the command says, when it is one and for this worker."""
        try:
            super().handle_message(body, message)
        except (AttributeError, TypeError) as error:
            logger.error("control command dropped reason=%r", f"{type(error).__name__} while it was read")  # noqa: TRY400

    def reply(self, data: Any, exchange: Any, routing_key: Any, ticket: Any, **kwargs: Any) -> None:
        """Answer, if Redis takes it: who asked waits for a second. Plain kombu tries for ever, as with heartbeats."""
        kwargs |= {"channel": self.channel, "serializer": self.mailbox.serializer, "retry_policy": {"max_retries": 1}}
        try:
            self.mailbox._publish_reply(data, exchange, routing_key, ticket, **kwargs)
        except OperationalError as error:
            logger.warning("a control command was not answered (%s)", error)


class EventsSentOnce(EventDispatcher):
    """What cannot be sent waits in the dispatcher's buffer for a connection; plain Celery tries a heartbeat again and
    again, and meanwhile neither works nor hears that the worker is to stop.
    """

    def send(self, *args: Any, **fields: Any) -> Any:
        """Send it, or keep it."""
        return super().send(*args, **{**fields, "retry": False})


class GuardedConsumer(Consumer):
    """Puts aside, and takes from the queue, each message that plain Celery drops, dies of or is restarted by."""

    Blueprint = Reconnecting
    connection_errors: tuple[type[Exception], ...]
    controller: Any
    event_dispatcher: Any
    hub: Any
    _flush_events: Callable[[], None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["app"].control.mailbox.node_cls = GuardedNode
        kwargs["app"].events.dispatcher_cls = EventsSentOnce
        self._events_due = 0.0
        super().__init__(*args, **kwargs)

    def on_send_event_buffered(self) -> None:  # type: ignore[override]  # the stubs are wrong: Celery returns nothing
        """Events go out together, a few times a second."""
        now = time.monotonic()
        if self.hub and now > self._events_due:
            self._events_due = now + _EVENTS_PAUSE
            self.hub.call_later(_EVENTS_PAUSE, self._flush_events)

    def shutdown(self) -> None:
        """The events of the last tasks go out first."""
        with suppress(*self.connection_errors):
            self._flush_events()
        super().shutdown()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """The function that gets each message."""
        handle = super().create_task_handler(*args, **kwargs)

        def guarded(message: Any) -> None:
            with context.bound(context.of_message(message.headers)):
                take(message)

        def take(message: Any) -> None:
            try:
                problem = _problem(message)
                if problem:
                    self.put_aside(message, problem)
                else:
                    _translate(message)
                    handle(message)
            except Exception as error:
                # Celery counts KeyError as a lost connection and reconnects, to get the same message again.
                if isinstance(error, self.connection_errors) and not isinstance(error, KeyError):
                    raise
                if not isinstance(error, _EXPECTED):
                    # Without the exception's text, which may quote the message.
                    logger.error("message refused at\n%s", "".join(traceback.format_tb(error.__traceback__)))  # noqa: TRY400
                self.put_aside(message, _reason(error))
                self._free_slot(message)

        return guarded

    def put_aside(self, message: Any, reason: str) -> None:
        """Bury it and acknowledge it; where the broker is not Redis, its own dead-letter exchange gets it."""
        mailbox = self.app.control.mailbox  # type: ignore[attr-defined]  # not in the stubs
        if message.delivery_info.get("exchange") == mailbox.exchange.name:
            logger.error("control command dropped reason=%r", reason)  # nobody would want it later
            return
        bury = getattr(message.channel, "bury", noop)
        queue = message.delivery_info.get("routing_key") or ""
        if not message.acknowledged:
            bury(queue, reason, dumps(message._raw).encode() if hasattr(message, "_raw") else b"")
            message.reject_log_error(logger, self.connection_errors)

    def _free_slot(self, message: Any) -> None:
        # A request that fails on its way into the pool has taken a slot, which nothing else gives back.
        for request in [each for each in state.reserved_requests if each.message is message]:
            state.task_ready(request)
            getattr(self.controller, "_quick_release", noop)()

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A body that cannot be decompressed (`create_task_handler` sees the others first)."""
        self.put_aside(message, _reason(exc) if isinstance(exc, DecodeError) else "its body cannot be decompressed")

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """A message that is no task."""
        self.put_aside(message, "not a task message")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task message with a value that Celery refuses."""
        self.put_aside(message, _reason(exc))
        signals.task_rejected.send(sender=self, message=message, exc=exc)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task that is not registered here: the caller is told, unless the store will send it again."""
        headers = message.headers
        name, id_ = headers.get("task"), headers.get("id")
        self.put_aside(message, "unknown task")
        if not (isinstance(name, str) and isinstance(id_, str)):
            return
        if not name.startswith(_OURS):
            self.app.backend.mark_as_failure(id_, NotRegistered(name))
        if self.event_dispatcher:
            self.event_dispatcher.send("task-failed", uuid=id_, exception=f"NotRegistered({name!r})")
        signals.task_unknown.send(sender=self, message=message, exc=exc, name=name, id=id_)


def _problem(message: Any) -> str | None:
    # Protocol 1 has its task in the body: Celery's own checks, and the net around them, must do.
    return task_problem(message.headers, message.payload) if "task" in message.headers else None


def _reason(error: Exception) -> str:
    """In words that quote nothing of the body: an exception's text often does."""
    if isinstance(error, ContentDisallowed):
        return "its content type is not accepted"
    if isinstance(error, InvalidTaskError):
        return "Celery refuses one of its headers"
    if isinstance(error, DecodeError):
        if any(isinstance(cause, ForgedPayload) for cause in error.args):
            return "not encrypted with a key of ours"
        return "its body cannot be decoded"
    return f"{type(error).__name__} while it was taken in"
