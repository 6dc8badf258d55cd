"""One at a time: a lock for periodic work, held in the store, so that a task that overlaps itself does nothing twice.

Its owner's death frees it at once on the same host, elsewhere when its time is over.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..reliability import owners
from ..store import facts
from .environment import Environment
from .lease import is_free


@contextmanager
def exclusive(env: Environment, name: str, seconds: float) -> Iterator[bool]:
    """True in the block if nobody else works under this name; hold it for ``seconds`` at the most."""
    held = _take(env, name, seconds)
    try:
        yield held
    finally:
        if held:
            _give_back(env, name)


def _take(env: Environment, name: str, seconds: float) -> bool:
    now = time.time()
    with env.store.write() as connection:
        holder = facts.hold(env.store, connection, _fact(name), {}, now)
        # Its own process is no exception: a task whose time was over may still be in a thread of it.
        if holder and not is_free(holder["owner"], holder["until"], now):
            return False
        facts.put(env.store, connection, _fact(name), {"owner": owners.me(), "until": now + seconds}, now)
    return True


def _give_back(env: Environment, name: str) -> None:
    now = time.time()
    with env.store.write() as connection:
        holder = facts.hold(env.store, connection, _fact(name), {}, now)
        if holder and holder["owner"] == owners.me():
            facts.put(env.store, connection, _fact(name), {}, now)


def _fact(name: str) -> str:
    return f"lock:{name}"
