"""Something that is done meanwhile, and that may never end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


def in_background(look: Callable[..., T], *args: Any) -> Future[T]:
    """In a daemon thread: one that hangs does not keep the program from ending, as one of an executor does."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(look(*args))
        except BaseException as error:  # handed to whoever asks for the result
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future
