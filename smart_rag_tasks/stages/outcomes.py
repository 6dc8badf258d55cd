"""What a generator gave becomes values that the store can hold, or an error that names the field and what is wanted.

Lists are taken for tuples; NULs and lone surrogates, which a database refuses, become U+FFFD.
"""

from __future__ import annotations

import re

from ..errors import GeneratorError
from ..models import ChunkFailure, ChunkMetadata, DocumentMetadata, Entity, Outcome

#: What the store's columns hold.
MAX_LANGUAGE = 16
MAX_TOKENS = 2**31 - 1
MAX_KIND = 128

#: Characters of an error that are worth keeping.
MAX_MESSAGE = 2000
MAX_TRACEBACK = 8000

#: Seconds that the other side can make a chunk wait.
MAX_WAIT = 7 * 86_400

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def valid_outcome(given: object) -> Outcome:
    """The outcome of one chunk; a ``GeneratorError`` as the chunk's failure, if the generator broke the protocol."""
    try:
        if isinstance(given, ChunkMetadata):
            return _metadata(given)
        if isinstance(given, ChunkFailure):
            return valid_failure(given)
        kind = type(given).__name__
        raise GeneratorError(f"generate() gave a {kind}; give ChunkMetadata or ChunkFailure for each chunk")
    except GeneratorError as error:
        return ChunkFailure(GeneratorError.__name__, str(error))


def valid_failure(given: ChunkFailure) -> ChunkFailure:
    """The failure, cut to what the store keeps; a ``retry_after`` that is none within a week is left out."""
    seconds = given.retry_after
    return ChunkFailure(
        kind=_text("ChunkFailure.kind", given.kind)[:MAX_KIND],
        message=_text("ChunkFailure.message", given.message)[:MAX_MESSAGE],
        traceback=_text("ChunkFailure.traceback", given.traceback)[-MAX_TRACEBACK:],
        transient=bool(given.transient),
        retry_after=seconds if isinstance(seconds, (int, float)) and 0 <= seconds <= MAX_WAIT else None,
    )


def valid_description(given: object) -> DocumentMetadata:
    """A document's metadata; raises GeneratorError."""
    if not isinstance(given, DocumentMetadata):
        raise GeneratorError(f"describe() gave a {type(given).__name__}; give DocumentMetadata")
    return DocumentMetadata(
        title=_text("DocumentMetadata.title", given.title),
        summary=_text("DocumentMetadata.summary", given.summary),
        topics=_texts("DocumentMetadata.topics", given.topics),
        language=_language("DocumentMetadata.language", given.language),
    )


def valid_title(given: object) -> str:
    """A document's title; raises GeneratorError."""
    return _text("title()", given)


def _metadata(given: ChunkMetadata) -> ChunkMetadata:
    return ChunkMetadata(
        keywords=_texts("ChunkMetadata.keywords", given.keywords),
        summary=_text("ChunkMetadata.summary", given.summary),
        gist=_text("ChunkMetadata.gist", given.gist),
        entities=_entities(given.entities),
        language=_language("ChunkMetadata.language", given.language),
        questions=_texts("ChunkMetadata.questions", given.questions),
        tokens=_tokens(given.tokens),
    )


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise GeneratorError(f"{field}: give a text")
    return value if value.isprintable() else _UNSTORABLE.sub("\ufffd", value)


def _texts(field: str, value: object, wanted: str = "a tuple of texts") -> tuple[str, ...]:
    try:
        if isinstance(value, (tuple, list)):
            plain = "".join(value).isprintable()  # one look at all of them: this runs for every chunk
            return tuple(value) if plain else tuple([_text(field, text) for text in value])
    except TypeError:  # one of them is no text
        pass
    raise GeneratorError(f"{field}: give {wanted}")


def _entities(value: object) -> tuple[Entity, ...]:
    field, wanted = "ChunkMetadata.entities", "a tuple of Entity, text and kind of each a text"
    if not isinstance(value, (tuple, list)) or not all(isinstance(entity, Entity) for entity in value):
        raise GeneratorError(f"{field}: give {wanted}")
    parts = [part for entity in value for part in (entity.text, entity.kind)]
    kept = _texts(field, parts, wanted)
    if kept == tuple(parts):
        return tuple(value)
    return tuple([Entity(*pair) for pair in zip(kept[::2], kept[1::2], strict=True)])


def _language(field: str, value: object) -> str:
    if isinstance(value, str) and len(value) <= MAX_LANGUAGE:
        return _text(field, value)
    raise GeneratorError(f'{field}: give an ISO 639-1 code of at most {MAX_LANGUAGE} characters, or ""')


def _tokens(value: object) -> int:
    if type(value) is int and 0 <= value <= MAX_TOKENS:
        return value
    raise GeneratorError(f"ChunkMetadata.tokens: give a whole number from 0 to {MAX_TOKENS}")
