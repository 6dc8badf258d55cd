"""A chunk as others get it: the record that sinks, exports and output files hold."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from ..metadata import search_field
from ..models import Json


def document_record(document: Row[Any]) -> Json:
    """A document's metadata, with where it comes from."""
    return {
        "document_id": document.document_id,
        "status": document.status,
        "title": document.title,
        "summary": document.summary,
        "topics": document.topics,
        "language": document.language,
        "source": document.source,
        "provenance": {"generator": document.generator, "fingerprint": document.fingerprint},
    }


def chunk_record(document: Row[Any], chunk: Row[Any]) -> Json:
    """A chunk: its original text, its metadata (null where there is none), its document's, and provenance."""
    return {
        "document_id": chunk.document_id,
        "chunk_id": chunk.chunk_id,
        "position": chunk.position,
        "page": chunk.page,
        "section_path": chunk.section_path,
        "text": chunk.text,
        "context": chunk.context,
        "search_field": search_field(chunk.context or "", document.topics or ()),
        "metadata": chunk.meta,
        "status": chunk.state,
        "error": {"kind": chunk.error_kind, "message": chunk.error} if chunk.error_kind else None,
        "provenance": {
            "generator": chunk.generator,
            "fingerprint": chunk.fingerprint,
            "created_at": chunk.generated_at,
            "tokens": chunk.tokens,
        },
        "document": {"title": document.title, "summary": document.summary, "topics": document.topics},
        "extra": chunk.extra,
    }
