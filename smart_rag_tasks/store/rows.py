"""From table rows to values and back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from ..models import Chunk, ChunkMetadata, Entity, Json


def chunk_of(row: Row[Any]) -> Chunk:
    """The chunk in a row of ``chunks``."""
    return Chunk(
        chunk_id=row.chunk_id,
        text=row.text,
        position=row.position,
        section_path=tuple(row.section_path),
        page=row.page,
        metadata=row.extra,
    )


def metadata_to_json(metadata: ChunkMetadata) -> Json:
    """What the column ``meta`` holds; ``tokens`` has a column of its own."""
    return {
        "keywords": metadata.keywords,
        "summary": metadata.summary,
        "gist": metadata.gist,
        "entities": [{"text": entity.text, "kind": entity.kind} for entity in metadata.entities],
        "language": metadata.language,
        "questions": metadata.questions,
    }


def metadata_of(meta: Json, tokens: int = 0) -> ChunkMetadata:
    """The metadata in a column ``meta``."""
    return ChunkMetadata(
        keywords=tuple(meta["keywords"]),
        summary=meta["summary"],
        gist=meta["gist"],
        entities=tuple(Entity(**entity) for entity in meta["entities"]),
        language=meta["language"],
        questions=tuple(meta["questions"]),
        tokens=tokens,
    )
