"""Where finished metadata goes (floor 2): the small protocol of a vector store, and how one is found."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, Protocol

from ..errors import InvalidSettings, words_of
from ..models import Json

__all__ = ["SINK_BATCH", "VectorStore", "check_methods", "find_sink", "load_sink"]

#: Records in one call of a sink.
SINK_BATCH = 256


class VectorStore(Protocol):
    """What a sink must give. Both methods may be called again with the same records: they must be idempotent."""

    def upsert(self, records: Sequence[Json]) -> None:
        """Take chunks with their metadata (see docs/reference/metadata.md for the fields of a record)."""

    def delete(self, document_id: str, chunk_ids: Sequence[str] | None) -> None:
        """Forget chunks; None: all of the document's."""


def find_sink(spec: str, name: str = "SMART_RAG_SINK") -> Any:
    """What ``module:attribute`` names, imported. Nothing is made: its server may be away.

    Raises InvalidSettings, which begins with ``name``: what the caller knows it by.
    """
    module, _, attribute = spec.partition(":")
    try:
        found: Any = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:  # somebody else's module: its own words may hold a secret
        said = str(error) if isinstance(error, (ImportError, AttributeError)) else words_of(error)
        raise InvalidSettings(f"{name}: {spec!r} cannot be loaded ({said}); use module:attribute") from None
    if inspect.isclass(found) or not callable(found):
        check_methods(f"{name}: {spec}", found)
    return found


@cache
def load_sink(spec: str) -> VectorStore:
    """The sink that ``module:attribute`` names: an object, or a class or function that makes one without arguments."""
    found = find_sink(spec)
    sink: VectorStore = found() if callable(found) else found
    check_methods(f"SMART_RAG_SINK: {spec}", sink)
    return sink


def check_methods(name: str, sink: object) -> None:
    """Raise InvalidSettings, beginning with ``name``, for what is no `VectorStore`."""
    for method in ("upsert", "delete"):
        if not callable(getattr(sink, method, None)):
            raise InvalidSettings(f"{name} has no method {method}(); see docs/howto/sinks.md")
