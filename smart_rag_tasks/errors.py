"""Every error of the project, one tree. An error's message states the fact and then what to do next.

A class's docstring is its default message. Chunk text and secrets never stand in a message.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SmartRagError(Exception):
    """Something went wrong in smart_rag_tasks."""

    #: What a command line program exits with when this error ends it.
    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])


def message_of(error: BaseException) -> str:
    """What the error says of itself, its kind if it says nothing."""
    try:
        message = str(error)
    except Exception:  # somebody else's __str__
        message = ""
    return message or type(error).__name__


def words_of(error: BaseException) -> str:
    """The error in one line without chunk text: somebody else's message may quote some, so of it kind and place."""
    ours = isinstance(error, (SmartRagError, OSError))
    words = type(error).__name__ + (f": {message_of(error)}" if ours else _place(error))
    return " ".join(words.encode("utf-8", "backslashreplace").decode().replace("\0", " ").split())


def trace_of(error: BaseException) -> str:
    """Where the error was raised, as a traceback says it, and `words_of` it: for logs."""
    return "".join(traceback.format_tb(error.__traceback__)) + words_of(error)


@contextmanager
def only_exceptions() -> Iterator[None]:
    """Around somebody else's code: a BaseException that ends no process (asyncio has some) is an error like others."""
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise GeneratorError(f"it raised {type(error).__name__}, which is no Exception") from None


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {Path(error.filename).name}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


class InvalidInput(SmartRagError):
    """What was given cannot be worked on."""

    exit_code = 2


class InvalidChunks(InvalidInput):
    """The chunks cannot be taken: see the field named."""


class InvalidSettings(InvalidInput):
    """A setting has a value that is not allowed."""


class UnknownDocument(InvalidInput):
    """No such document in the store; `smart-rag-tasks list` shows those there are."""


class UnknownRun(InvalidInput):
    """No such run in the store; it may have expired."""


class DocumentError(InvalidInput):
    """A file cannot be turned into chunks."""


class UnreadableDocument(DocumentError):
    """The file cannot be read as the kind it claims to be."""


class ProtectedDocument(DocumentError):
    """The file is protected by a password: remove it and submit again."""


class EmptyDocument(DocumentError):
    """The file holds no text."""


class DocumentTooLarge(DocumentError):
    """The file is over the size limit: split it, or raise SMART_RAG_MAX_FILE_MB."""


class GeneratorError(SmartRagError):
    """The generator could not give metadata."""


class TransientError(SmartRagError):
    """A fault that goes away by itself (time-out, lost connection): worth repeating."""

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        #: Seconds the other side asked us to wait (Retry-After), None when it did not say.
        self.retry_after = retry_after


class RateLimited(TransientError):
    """The model's service asks for a pause (429)."""


class StoreUnavailable(TransientError):
    """The store does not answer: check SMART_RAG_STORE_URL and that the database is up."""


class StoreDeadlock(StoreUnavailable):
    """Two transactions wanted the same rows of the store in turn, and this one gave way: do it again."""


class StoreFull(StoreUnavailable):
    """The disk under the store is full: make room; the work goes on by itself."""


class BrokerUnreachable(TransientError):
    """The broker does not answer: check REDIS_URL and that Redis is up."""


class RedisServerError(SmartRagError):
    """No Redis server could be started."""


class ForgedPayload(SmartRagError):
    """A message is not encrypted with a key of ours, although encryption is on."""
