"""2. Nothing is generated twice: submit as often as you like."""

from __future__ import annotations

import testing_generators
from stack import Stack, chunks_of

from smart_rag_tasks import Client, process_document_pipeline


def generated(live: Stack, document_id: str) -> int:
    """How many chunks of the document the generator has seen, as its own ledger has it."""
    return sum(
        count for (document, _), count in testing_generators.read(live.ledger).items() if document == document_id
    )


def test_unchanged_chunks_cost_nothing(live: Stack, document_id: str) -> None:
    chunks = chunks_of(f"{document_id} one", f"{document_id} two")
    process_document_pipeline.delay(document_id, chunks).get(timeout=20)

    again = process_document_pipeline.delay(document_id, chunks).get(timeout=20)

    assert 2 == again["unchanged_chunks"] == again["processed_chunks"]
    assert 2 == generated(live, document_id)


def test_one_changed_chunk_is_one_chunk_of_work(live: Stack, document_id: str) -> None:
    chunks = chunks_of(f"{document_id} one", f"{document_id} two", f"{document_id} three")
    process_document_pipeline.delay(document_id, chunks).get(timeout=20)
    chunks[1]["text"] += ", changed"

    again = process_document_pipeline.delay(document_id, chunks).get(timeout=20)

    assert 2 == again["unchanged_chunks"]
    assert 3 + 1 == generated(live, document_id)


def test_a_chunk_that_is_not_there_any_more_goes_at_the_end(live: Stack, document_id: str) -> None:
    chunks = chunks_of(f"{document_id} one", f"{document_id} two")
    process_document_pipeline.delay(document_id, chunks).get(timeout=20)

    process_document_pipeline.delay(document_id, chunks[:1]).get(timeout=20)

    assert ["c0"] == [chunk["chunk_id"] for chunk in Client().document(document_id)["chunks"]]


def test_the_same_text_elsewhere_is_not_generated_again(live: Stack, document_id: str) -> None:
    text = f"{document_id}: the same words in two documents"
    process_document_pipeline.delay(document_id, chunks_of(text)).get(timeout=20)

    process_document_pipeline.delay(f"{document_id}-copy", chunks_of(text)).get(timeout=20)

    assert 1 == generated(live, document_id)
    assert 0 == generated(live, f"{document_id}-copy")
    assert "done" == Client().document(f"{document_id}-copy")["chunks"][0]["status"]


def test_force_generates_again(live: Stack, document_id: str) -> None:
    process_document_pipeline.delay(document_id, chunks_of(f"{document_id} one")).get(timeout=20)

    process_document_pipeline.delay(document_id, None, force=True).get(timeout=20)

    assert 2 == generated(live, document_id)
