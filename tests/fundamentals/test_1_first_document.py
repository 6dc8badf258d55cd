"""1. A document goes in by its chunks, and comes out with metadata.

Everything here is real: an embedded Redis, a Celery worker with two processes, a store. (`live` starts them.)
"""

from __future__ import annotations

import pytest
from stack import Stack, chunks_of

from smart_rag_tasks import Client, process_document_pipeline
from smart_rag_tasks.errors import InvalidInput


def test_three_lines_of_application_code(live: Stack, document_id: str) -> None:
    chunks = [{"chunk_id": "intro", "text": "Tea is grown on slopes."}, {"chunk_id": "end", "text": "Enjoy."}]

    result = process_document_pipeline.delay(document_id, chunks)

    final = result.get(timeout=20)
    assert "completed" == final["final_status"]
    assert 2 == final["processed_chunks"]
    assert 0 == final["failed_chunks"]


def test_the_chunks_are_stored_before_anything_is_sent(live: Stack, document_id: str) -> None:
    process_document_pipeline.delay(document_id, chunks_of("Searchable at once."))

    document = Client().document(document_id)  # without waiting for any worker
    assert ["Searchable at once."] == [chunk["text"] for chunk in document["chunks"]]


def test_every_chunk_gets_its_metadata(live: Stack, document_id: str) -> None:
    process_document_pipeline.delay(document_id, chunks_of("One.", "Two.")).get(timeout=20)

    first, second = Client().document(document_id)["chunks"]
    assert "done" == first["status"] == second["status"]
    assert ["c0"] == first["metadata"]["keywords"]
    assert "One." in first["context"]  # the line to put before the text when indexing
    assert first["provenance"]["fingerprint"].startswith("ledger-1")


def test_bad_input_is_refused_in_the_caller(live: Stack, document_id: str) -> None:
    with pytest.raises(InvalidInput, match=r"chunks\[1\]\.text: is missing"):
        process_document_pipeline.delay(document_id, [{"chunk_id": "a", "text": "fine"}, {"chunk_id": "b"}])

    assert document_id not in Client().document_ids()  # nothing was stored


def test_no_chunks_is_an_end_of_its_own(live: Stack, document_id: str) -> None:
    final = process_document_pipeline.delay(document_id, []).get(timeout=20)

    assert "empty" == final["final_status"]
