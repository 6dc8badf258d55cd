"""Stale metadata: documents that another generator, or another version of it, has described."""

from __future__ import annotations

from ..store import documents
from .environment import Environment


def stale_documents(env: Environment, limit: int) -> list[str]:
    """Ids of up to ``limit`` documents whose metadata is not by the generator that the settings name.

    Nothing that is in flight, was cancelled, or whose last run broke: those are an operator's business.
    """
    settings = env.settings
    fingerprint = env.generator(settings.generator, settings.generator_options).fingerprint
    with env.store.read() as connection:
        return documents.stale(connection, fingerprint, limit)
