"""The one Task subclass: how each task's message looks, and what a hard time limit means."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task
from celery.exceptions import TimeLimitExceeded
from celery.worker.request import Request
from celery.worker.state import task_ready
from kombu.asynchronous import get_event_loop

from .arguments import shown, shown_message, shown_result
from .transport import batch_publishing

logger = logging.getLogger(__name__)

#: Seconds that a child killed at its time limit has to die: its message must not find the lease in living hands.
DYING = 0.5

#: Of the time between the soft limit and the hard one, what a message has that comes a second time.
GRACE_OF_RETURNED = 1 / 3


class StoreBackedRequest(Request):
    """A task whose truth is in the store: at its hard time limit the message goes back instead of failing.

    Where the task asks for it (``acks_on_timeout`` false): the store counts the death (the lease's owner is gone, or
    the chunk is marked) and works chunk by chunk then; failing here would only break the chord, whose body would
    never run. Celery would send it back too, but before the process is dead.
    """

    task: BaseTask
    _type: str
    _request_dict: dict[str, Any]

    def __init__(self, message: Any, **options: Any) -> None:
        """Also for producers that are not ours: what they say of their arguments may be a chunk's text."""
        super().__init__(message, **options)
        words = shown_message(self._type, self._request_dict, self.args, self.kwargs)
        self._argsrepr, self._kwargsrepr = words["argsrepr"], words["kwargsrepr"]
        self._request_dict.update(words)
        if self.delivery_info.get("redelivered") or (self.kwargs or {}).get("redriven"):
            self.time_limits = self._limits_of_returned()

    def _limits_of_returned(self) -> tuple[float | None, float | None]:
        """(hard, soft), in seconds: a process may have died of it, deaf to the soft limit; it is killed earlier.

        Three tries of a chunk that hangs then end within three hard limits, the time between them included.
        """
        hard, soft = self.time_limits
        hard, soft = hard or self.task.time_limit, soft or self.task.soft_time_limit  # the settings', if not its own
        if hard and soft and soft < hard:
            hard = soft + (hard - soft) * GRACE_OF_RETURNED
        return hard, soft

    def info(self, safe: bool = True) -> Any:
        """What `inspect` and Flower are told: the shortened arguments, and what it works for."""
        return {**super().info(safe=True), **self._works_for()}

    def _works_for(self) -> dict[str, Any]:
        return {key: self._request_dict.get(key) for key in ("document_id", "run_id")}

    def send_event(self, type: str, **fields: Any) -> None:
        """Tell Flower and other listeners; a result that may hold text is not told."""
        if "result" in fields:
            fields["result"] = shown_result(self._type, fields["result"])
        super().send_event(type, **fields)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Not of a hard time limit whose message goes back: that is `on_timeout`'s, which comes next."""
        error = exc_info.exception
        if self.task.acks_on_timeout or not isinstance(getattr(error, "exc", error), TimeLimitExceeded):
            super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Soft: the generator gets SoftTimeLimitExceeded. Hard: the child is killed, the message may come again."""
        if soft or self.task.acks_on_timeout:
            super().on_timeout(soft, timeout)
            return
        task_ready(self)
        logger.error("%s[%s] was killed at its time limit of %s s", self.name, self.id, timeout)
        hub = get_event_loop()
        if hub is None:
            self.reject(requeue=True)
        else:
            hub.call_later(DYING, self.reject, True)


class BaseTask(Task[Any, Any]):
    """Every task of the application."""

    abstract = True
    #: False: the store counts the tries, so the message of a task that is killed at its hard time limit goes back.
    acks_on_timeout: bool | None = None
    Request = f"{__name__}:StoreBackedRequest"

    def apply_async(self, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        """Publish, with arguments shortened in the headers: events and Flower never see a chunk's text.

        Celery would send the publisher's time limits along; those of the worker count, which were checked at its start.
        """
        limits = {"time_limit": None, "soft_time_limit": None}
        options = limits | shown(self.name, args, kwargs) | options
        return super().apply_async(args, kwargs, *more, **options)

    def on_replace(self, sig: Any) -> Any:
        """Publish the replacement (a chord's whole header) in one pipeline: 2.7 times as fast as one by one."""
        from celery.exceptions import Ignore

        with batch_publishing(self.app) as producer:
            sig.apply_async(producer=producer)
        raise Ignore("replaced by another task")
