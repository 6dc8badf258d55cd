"""Celery's Redis result backend, taught that a run's truth is in the store.

A chord's header task of ours always counts as done: whether its batch is, the store knows, and the body asks it. Plain
Celery makes a lost connection at the moment of counting the failure of the whole chord, and so of the run's result.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from celery import states
from celery.backends.redis import RedisBackend, SentinelBackend
from celery.exceptions import BackendStoreError
from redis import exceptions

from .errors import StoreUnavailable
from .stages import delivery
from .stages.environment import environment

if TYPE_CHECKING:

    class _Base(RedisBackend):
        """What the published type stubs leave out."""

        connection_errors: tuple[type[Exception], ...]

        def _ensure_retryable(self, func: Any, *args: Any, **kwargs: Any) -> Any: ...

else:
    _Base = object

logger = logging.getLogger(__name__)

_OURS: Final = "smart_rag_tasks."

#: Redis is full, or a replica for now: it answers, but takes nothing. Worth repeating like a lost connection.
_TAKES_NOTHING: Final = (exceptions.OutOfMemoryError, exceptions.ReadOnlyError)


class StoreBacked(_Base):
    """A mixin for Celery's Redis backends."""

    def exception_safe_to_retry(self, exc: Exception) -> bool:
        """Whether ``result_backend_always_retry`` may repeat what ended with ``exc``."""
        return isinstance(exc, _TAKES_NOTHING) or bool(super().exception_safe_to_retry(exc))

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Celery subscribes to every result at its submission, wanted or not; whoever waits for one subscribes then."""

    def on_chord_part_return(self, request: Any, state: str, result: Any, propagate: Any = None, **kwargs: Any) -> None:
        """Count a header task, as often as it takes; if Redis stays away, the sweep ends the run."""
        count = partial(super().on_chord_part_return, request)
        if not _is_ours(getattr(request, "task", "")):
            count(state, result, propagate, **kwargs)
            return
        try:
            self._ensure_retryable(count, states.SUCCESS, result if state == states.SUCCESS else 0)
        except self._away() as error:
            logger.warning("a chord was not told of its batch (%s); the sweep ends the run", type(error).__name__)

    def _away(self) -> tuple[type[Exception], ...]:
        return (*self.connection_errors, *_TAKES_NOTHING, BackendStoreError)

    def chord_error_from_stack(self, callback: Any, exc: Any = None) -> Any:
        """A chord of ours that broke has no say about the run's result."""
        if _is_ours(callback.task):
            logger.warning("a chord broke (%s); the sweep ends the run", type(exc).__name__)
            return None
        return super().chord_error_from_stack(callback, exc)

    def mark_as_done(self, task_id: str, result: Any, *args: Any, **kwargs: Any) -> None:
        """Store a task's result; a run's that Redis does not take goes to the outbox."""
        try:
            super().mark_as_done(task_id, result, *args, **kwargs)
        except self._away():
            if not (isinstance(result, dict) and result.get("run_id") == task_id and "final_status" in result):
                raise
            try:
                delivery.deliver_later(environment(), result)
            except StoreUnavailable:
                logger.exception("the result of run %s reached neither Redis nor the outbox; the store has it", task_id)


def _is_ours(task: object) -> bool:
    return isinstance(task, str) and task.startswith(_OURS)


class StoreBackedRedis(StoreBacked, RedisBackend):
    """What ``redis://`` and ``rediss://`` mean as a result backend."""


class StoreBackedSentinel(StoreBacked, SentinelBackend):
    """What ``sentinel://`` means as a result backend."""


#: For a Celery loader's ``override_backends``.
BACKENDS: Final[dict[str, str]] = {
    "redis": f"{__name__}:StoreBackedRedis",
    "rediss": f"{__name__}:StoreBackedRedis",
    "sentinel": f"{__name__}:StoreBackedSentinel",
}
