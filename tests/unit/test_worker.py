"""A signal that ends the worker is served between two events of its loop, or at once where no loop is at work."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from smart_rag_tasks import worker as module
from smart_rag_tasks.worker import Worker


class Loop:
    """What a signal needs of kombu's hub."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], Any]] = []

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        self.soon.append(lambda: callback(*args))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Worker, list[int]]]:
    """A worker whose handler of SIGUSR1 notes what it serves."""
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    worker, seen = Worker.__new__(Worker), []
    before = signal.getsignal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, worker._between_events(lambda number, frame: seen.append(number)))
    yield worker, seen
    signal.signal(signal.SIGUSR1, before)


def send() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_the_loop_serves_it_once(served: tuple[Worker, list[int]]) -> None:
    worker, seen = served
    worker.hub = loop = Loop()
    send()
    wait_for(lambda: loop.soon)
    assert [] == seen
    loop.soon.pop()()
    assert [signal.SIGUSR1] == seen
    time.sleep(0.5)
    assert [signal.SIGUSR1] == seen


def test_a_loop_that_does_not_come_to_it_is_interrupted(served: tuple[Worker, list[int]]) -> None:
    worker, seen = served
    worker.hub = loop = Loop()
    send()
    wait_for(lambda: seen)
    with suppress(IndexError):
        loop.soon.pop()()
    assert [signal.SIGUSR1] == seen


def test_a_second_one_does_not_wait(served: tuple[Worker, list[int]]) -> None:
    worker, seen = served
    worker.hub = Loop()
    send()
    send()
    assert [signal.SIGUSR1] == seen


def test_before_there_is_a_loop_it_is_served_at_once(served: tuple[Worker, list[int]]) -> None:
    send()
    assert [signal.SIGUSR1] == served[1]
