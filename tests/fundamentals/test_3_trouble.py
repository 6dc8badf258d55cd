"""3. A chunk fails alone: its neighbours are done, the document says so, and a retry works on the failed one only."""

from __future__ import annotations

import testing_generators
from stack import Stack, chunks_of

from smart_rag_tasks import Client, process_document_pipeline


def test_a_chunk_that_always_raises(live: Stack, document_id: str) -> None:
    chunks = chunks_of(f"{document_id} good", f"{document_id} raise:always", f"{document_id} good too")

    final = process_document_pipeline.delay(document_id, chunks).get(timeout=60)

    assert "completed_with_errors" == final["final_status"]
    assert (2, 1) == (final["processed_chunks"], final["failed_chunks"])
    _, failed, _ = Client().document(document_id)["chunks"]
    assert "failed" == failed["status"]
    assert {"kind": "RuntimeError", "message": "this chunk was told to raise"} == failed["error"]


def test_an_error_that_goes_away_is_repeated(live: Stack, document_id: str) -> None:
    chunks = chunks_of(f"{document_id} good", f"{document_id} transient:1")

    final = process_document_pipeline.delay(document_id, chunks).get(timeout=60)

    assert "completed" == final["final_status"]
    ledger = testing_generators.read(live.ledger)
    assert 2 == ledger[document_id, "c1"]


def test_retry_works_on_what_failed(live: Stack, document_id: str) -> None:
    chunks = chunks_of(f"{document_id} good", f"{document_id} raise:4")
    assert (
        "completed_with_errors" == process_document_pipeline.delay(document_id, chunks).get(timeout=60)["final_status"]
    )
    before = testing_generators.read(live.ledger)

    client = Client()
    run = client.retry(document_id)

    assert "completed" == client.result(run.run_id, timeout=60).final_status
    after = testing_generators.read(live.ledger)
    assert before[document_id, "c0"] == after[document_id, "c0"]
    assert before[document_id, "c1"] + 1 == after[document_id, "c1"]
