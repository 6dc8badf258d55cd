"""What the store cannot take: refused before it comes there, or told without a chunk's text."""

from __future__ import annotations

import logging
import random
import traceback
from typing import Any

import pytest
from sqlalchemy.exc import StatementError

from smart_rag_tasks.errors import InvalidInput
from smart_rag_tasks.models import Chunk
from smart_rag_tasks.stages.ingest import Submission, admit
from smart_rag_tasks.stages.validation import valid_chunks, valid_document_id
from smart_rag_tasks.store import Store, admission


@pytest.mark.parametrize(
    ("run_id", "metadata"),
    [(None, {}), ("r" * 65, {}), ("run", {"private": float("nan")}), ("run", {"private": object()})],
)
def test_an_error_of_the_database_holds_no_text(
    new_store: Store, run_id: Any, metadata: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    chunk = Chunk("c", "private words", 0, ("private heading",), metadata=metadata)
    try:
        with new_store.write() as connection:
            admission.upsert_chunks(new_store, connection, "doc", run_id, [chunk])
    except (StatementError, TypeError) as error:
        logging.getLogger(__name__).exception("%r", error)
        assert "private" not in "".join(traceback.format_exception(error))
        assert "private" not in repr(error)
    else:
        assert new_store.is_sqlite  # it takes what PostgreSQL does not
    assert "private" not in caplog.text


def rare(count: int, first: int = 0x20000) -> str:
    """So many characters that no compression makes shorter, of four bytes each if nothing else is said."""
    return "".join(chr(first + random.randrange(6000)) for _ in range(count))


@pytest.mark.parametrize(("count", "first"), [(512, 0x4E00), (384, 0x20000)])
def test_the_longest_ids_are_taken(new_store: Store, count: int, first: int) -> None:
    name = valid_document_id(rare(count, first))
    chunks = valid_chunks([{"chunk_id": rare(256), "text": "one"}], max_chars=100, max_chunks=1)

    assert admit(new_store, Submission(name, chunks, "extractive", engine="celery")).created


def test_a_longer_document_id_is_refused() -> None:
    with pytest.raises(InvalidInput, match="document_id: has 1,540 bytes in UTF-8, at most 1,536 are allowed"):
        valid_document_id(rare(385))
