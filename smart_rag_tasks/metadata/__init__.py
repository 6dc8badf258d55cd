"""Metadata generators: the protocol, how one is found by name, and what is composed from their output.

Importing this package is cheap: word lists and libraries are loaded when a generator is made or first needs them.
"""

from __future__ import annotations

from .context import compose_context, search_field
from .generator import BaseGenerator, MetadataGenerator, cache_key, describe, fingerprint_of, title_of
from .loading import generator_names, load_generator

__all__ = [
    "BaseGenerator",
    "MetadataGenerator",
    "cache_key",
    "compose_context",
    "describe",
    "detect_language",
    "fingerprint_of",
    "generator_names",
    "load_generator",
    "search_field",
    "title_of",
]


def detect_language(text: str) -> str:
    """ISO 639-1 code of the text's main language, "" when it cannot be told."""
    from .language import detect

    return detect(text)
