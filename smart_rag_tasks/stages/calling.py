"""Calling a generator: the chunk boundary, where any error becomes the outcome of the chunk that caused it."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence

from ..errors import GeneratorError, TransientError, message_of, only_exceptions
from ..metadata.generator import MetadataGenerator
from ..models import Chunk, ChunkFailure, DocumentContext, Outcome
from .outcomes import valid_failure, valid_outcome

#: Celery's soft time limit, by name: this floor does not import Celery.
SOFT_LIMIT = "SoftTimeLimitExceeded"

#: What stands for chunk text in a message, and characters of it that make a quotation.
_TEXT = "<chunk text>"
_QUOTED = 12

_TRANSIENT = (TransientError, TimeoutError, ConnectionError)


def call(generator: MetadataGenerator, chunks: Sequence[Chunk], document: DocumentContext) -> list[Outcome]:
    """One outcome a chunk, whatever the generator does.

    An error that may lie in one chunk is looked for by calling again chunk by chunk; one that would hit every chunk
    (time-out, lost connection, time limit) is every chunk's outcome.
    """
    try:
        with only_exceptions():
            return [valid_outcome(given) for given in _one_each(generator.generate(chunks, document), chunks)]
    except Exception as error:  # the chunk boundary: recorded with its traceback
        failure = failure_of(error, chunks)
        if len(chunks) == 1 or failure.transient or failure.kind == SOFT_LIMIT:
            return [failure] * len(chunks)
    return [outcome for chunk in chunks for outcome in call(generator, [chunk], document)]


def failure_of(error: Exception, chunks: Sequence[Chunk]) -> ChunkFailure:
    """The error as a value; chunk text that stands in its message or traceback is taken out."""
    return valid_failure(
        ChunkFailure(
            kind=type(error).__name__,
            message=_without_text(message_of(error), chunks).splitlines()[0],
            traceback=_without_text("".join(traceback.format_exception(error)), chunks),
            transient=isinstance(error, _TRANSIENT),
            retry_after=getattr(error, "retry_after", None),
        )
    )


def _without_text(words: str, chunks: Sequence[Chunk]) -> str:
    """The words without the texts, and without what was cut out of one, in capitals or not."""
    for chunk in chunks:
        for form in (chunk.text, repr(chunk.text), repr(chunk.text)[1:-1]):
            words = words.replace(form, _TEXT)
    return _without_quotes(words, "\n".join(chunk.text for chunk in chunks).lower())


def _without_quotes(words: str, text: str) -> str:
    """A quotation of twice ``_QUOTED`` characters holds a whole stride of it, wherever it begins."""
    kept, lower, place, end = "", words.lower(), 0, 0
    while place + _QUOTED <= len(words):
        if lower[place : place + _QUOTED] not in text:
            place += _QUOTED
            continue
        first, last = place, place + _QUOTED
        while first > end and lower[first - 1 : last] in text:
            first -= 1
        while last < len(words) and lower[first : last + 1] in text:
            last += 1
        kept += words[end:first] + _TEXT
        place = end = last
    return kept + words[end:]


def _one_each(given: object, chunks: Sequence[Chunk]) -> list[object]:
    """A generator of somebody else's may break the protocol: say so, in the words of the protocol."""
    if not isinstance(given, Iterable):
        raise GeneratorError(f"generate() gave a {type(given).__name__}; give a list, one outcome a chunk")
    outcomes = list(given)
    if len(outcomes) != len(chunks):
        raise GeneratorError(f"generate() gave {len(outcomes)} outcomes for {len(chunks)} chunks; give one a chunk")
    return outcomes
