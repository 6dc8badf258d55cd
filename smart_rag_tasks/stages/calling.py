"""Calling a generator: the chunk boundary, where any error becomes the outcome of the chunk that caused it."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence

from ..errors import GeneratorError, TransientError
from ..metadata.generator import MetadataGenerator
from ..models import Chunk, ChunkFailure, DocumentContext, Outcome
from .outcomes import valid_failure, valid_outcome

#: Celery's soft time limit, by name: this floor does not import Celery.
SOFT_LIMIT = "SoftTimeLimitExceeded"

_TRANSIENT = (TransientError, TimeoutError, ConnectionError)


def call(generator: MetadataGenerator, chunks: Sequence[Chunk], document: DocumentContext) -> list[Outcome]:
    """One outcome a chunk, whatever the generator does.

    An error that may lie in one chunk is looked for by calling again chunk by chunk; one that would hit every chunk
    (time-out, lost connection, time limit) is every chunk's outcome.
    """
    try:
        return [valid_outcome(given) for given in _one_each(generator.generate(chunks, document), chunks)]
    except Exception as error:  # the chunk boundary: recorded with its traceback
        failure = failure_of(error, chunks)
        if len(chunks) == 1 or failure.transient or failure.kind == SOFT_LIMIT:
            return [failure] * len(chunks)
    return [outcome for chunk in chunks for outcome in call(generator, [chunk], document)]


def failure_of(error: Exception, chunks: Sequence[Chunk]) -> ChunkFailure:
    """The error as a value; chunk text that stands in its message or traceback is taken out."""
    kind = type(error).__name__
    return valid_failure(
        ChunkFailure(
            kind=kind,
            message=_without_text(_words_of(error) or kind, chunks).splitlines()[0],
            traceback=_without_text("".join(traceback.format_exception(error)), chunks),
            transient=isinstance(error, _TRANSIENT),
            retry_after=getattr(error, "retry_after", None),
        )
    )


def _words_of(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # somebody else's __str__
        return ""


def _without_text(words: str, chunks: Sequence[Chunk]) -> str:
    for chunk in chunks:
        for form in (chunk.text, repr(chunk.text), repr(chunk.text)[1:-1]):
            words = words.replace(form, "<chunk text>")
    return words


def _one_each(given: Iterable[object], chunks: Sequence[Chunk]) -> list[object]:
    """A generator of somebody else's may break the protocol: say so, in the words of the protocol."""
    outcomes = list(given)
    if len(outcomes) != len(chunks):
        raise GeneratorError(f"generate() gave {len(outcomes)} outcomes for {len(chunks)} chunks; give one a chunk")
    return outcomes
