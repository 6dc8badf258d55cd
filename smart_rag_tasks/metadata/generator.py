"""What a metadata generator is: the protocol a third party meets, a base class with defaults, and the helpers.

Only :attr:`MetadataGenerator.fingerprint` and :meth:`MetadataGenerator.generate` are needed; everything else
is read with ``getattr`` so that a class which knows nothing of this package works too. How a generator is
found by name is left to ``loading``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

from ..errors import only_exceptions
from ..models import Chunk, ChunkMetadata, DocumentContext, DocumentMetadata, Outcome


@runtime_checkable
class MetadataGenerator(Protocol):
    """What a third party must give."""

    #: Short and stable; another value means that everything is generated again.
    fingerprint: str

    def generate(self, chunks: Sequence[Chunk], document: DocumentContext) -> Sequence[Outcome]:
        """One outcome a chunk, in the chunks' order; may raise TransientError for the whole call."""
        ...


class BaseGenerator:
    """Defaults for a generator: subclass it, set ``name``, ``version``, ``options``, write ``generate``."""

    name: str = "generator"
    #: Raised whenever the same input may give another output.
    version: str = "1"
    #: True: the generator is shown title and headings too, so they are part of the cache key.
    uses_document: bool = False
    #: Chunks in one ``generate`` call at the most; None: as many as the batch has.
    max_batch: int | None = None
    #: What else the output depends on (model, prompt, schema, limits); never a secret.
    options: Mapping[str, Any] = {}

    @property
    def fingerprint(self) -> str:
        """``name-version-digest`` over everything that the output depends on."""
        return fingerprint_of(self.name, self.version, self.options)

    def generate(self, chunks: Sequence[Chunk], document: DocumentContext) -> Sequence[Outcome]:
        """One outcome a chunk, in the chunks' order."""
        raise NotImplementedError(f"{type(self).__name__} must define generate()")

    def title(self, chunks: Sequence[Chunk], hint: str) -> str:
        """A document's title from its first chunks and the title that the parser found ("" for none)."""
        from .titles import choose_title

        return choose_title(chunks, hint)

    def describe(self, document: DocumentContext, chunks: Iterable[tuple[Chunk, ChunkMetadata]]) -> DocumentMetadata:
        """A document's metadata from its chunks' metadata, read once as a stream."""
        from .description import describe_document

        return describe_document(document, chunks)


def fingerprint_of(name: str, version: str, options: Mapping[str, Any]) -> str:
    """``name-version-digest``: the digest covers ``options`` in any order of their keys."""
    text = json.dumps(options, sort_keys=True, ensure_ascii=False, default=str)
    return f"{name}-{version}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def cache_key(chunk: Chunk, document: DocumentContext, generator: MetadataGenerator) -> str:
    """sha256 (hexadecimal) over what the generator is shown, and its fingerprint.

    Without the document's language: it is known from the end of the first run on, and the key must not change then.
    """
    shown: tuple[Any, ...] = (generator.fingerprint,)
    if getattr(generator, "uses_document", False):
        shown += (chunk.section_path, document.title)
    digest = _digest_of(shown).copy()
    digest.update(chunk.text.encode("utf-8", "surrogatepass"))  # JSON ends before it: the two cannot be mistaken
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _digest_of(shown: tuple[Any, ...]) -> hashlib._Hash:
    return hashlib.sha256(json.dumps(shown).encode())


def title_of(generator: MetadataGenerator, chunks: Sequence[Chunk], hint: str) -> str:
    """The document's title by the generator's own ``title`` or the default one."""
    own = getattr(generator, "title", None)
    if callable(own):
        with only_exceptions():
            title: str = own(chunks, hint)
        return title
    return BaseGenerator().title(chunks, hint)


def describe(
    generator: MetadataGenerator, document: DocumentContext, chunks: Iterable[tuple[Chunk, ChunkMetadata]]
) -> DocumentMetadata:
    """The document's metadata by the generator's own ``describe`` or the default one."""
    own = getattr(generator, "describe", None)
    if callable(own):
        with only_exceptions():
            result: DocumentMetadata = own(document, chunks)
        return result
    return BaseGenerator().describe(document, chunks)
