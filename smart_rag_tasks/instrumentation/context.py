"""What a log line is about: ids that are bound once and stand on every line until they are unbound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, Final

#: The keys of every log line, in this order.
KEYS: Final = ("document_id", "run_id", "batch", "task_id")

#: Characters of one id in a log line; an id may come from a message of somebody else's.
LONGEST: Final = 200

_bound: ContextVar[Mapping[str, str]] = ContextVar("log_context", default={})  # noqa: B039 - never changed in place


def current() -> Mapping[str, str]:
    """The ids that are bound now."""
    return _bound.get()


def bind(ids: Mapping[str, object]) -> Token[Mapping[str, str]]:
    """Bind ids beside those that are bound; ``unbind`` takes the token."""
    return _bound.set({**_bound.get(), **clean(ids)})


def unbind(token: Token[Mapping[str, str]]) -> None:
    """Back to what was bound before."""
    _bound.reset(token)


@contextmanager
def bound(ids: Mapping[str, object]) -> Iterator[None]:
    """Bind ids for the length of a block."""
    token = bind(ids)
    try:
        yield
    finally:
        unbind(token)


def of_message(headers: Mapping[str, Any]) -> dict[str, object]:
    """The ids in a task message's headers."""
    return {**{key: headers.get(key) for key in KEYS}, "task_id": headers.get("id")}


def clean(ids: Mapping[str, object]) -> dict[str, str]:
    """Of ``ids`` those that log lines have, as short text on one line; only text and numbers."""
    return {
        key: " ".join(str(ids[key]).split())[:LONGEST]
        for key in KEYS
        if isinstance(ids.get(key), (str, int)) and ids[key] != ""
    }
