"""4. A larger document is cut into batches: PROGRESS while they run, callbacks at the true end."""

from __future__ import annotations

from stack import Stack, wait_until

from smart_rag_tasks import Client, app, process_document_pipeline


def many(document_id: str, count: int) -> list[dict[str, str]]:
    return [{"chunk_id": f"c{number}", "text": f"{document_id} number {number}"} for number in range(count)]


def test_a_document_of_many_batches(live: Stack, document_id: str) -> None:
    final = process_document_pipeline.delay(document_id, many(document_id, 700)).get(timeout=60)

    assert "completed" == final["final_status"]
    assert 700 == final["processed_chunks"]


def test_progress_is_told_while_it_runs(live: Stack, document_id: str) -> None:
    result = process_document_pipeline.delay(document_id, many(document_id, 3000))

    wait_until(lambda: result.state in ("PROGRESS", "SUCCESS"), what="progress")
    seen = result.info
    assert 3000 == result.get(timeout=60)["processed_chunks"]
    if "percent" in seen:  # it may have been faster than we looked
        assert {"stage", "done", "total", "percent"} <= set(seen)
        assert 3000 == seen["total"]


def test_a_callback_gets_the_final_dict(live: Stack, document_id: str) -> None:

    class Seen:
        """The callback is a task of the application's own; here one of ours that stores what it is given."""

        signature = app.signature("celery.accumulate", kwargs={"index": 0}, task_id=f"callback-{document_id}")

    final = process_document_pipeline.apply_async((document_id, many(document_id, 3)), link=Seen.signature).get(
        timeout=20
    )

    heard = app.AsyncResult(f"callback-{document_id}").get(timeout=20)
    assert final == heard


def test_an_interactive_document_goes_first(live: Stack, document_id: str) -> None:
    client = Client()
    client.submit(f"{document_id}-bulk", many(f"{document_id}-bulk", 20_000))

    quick = process_document_pipeline.delay(document_id, many(document_id, 10), lane="interactive").get(timeout=20)

    assert "completed" == quick["final_status"]
    assert client.status(f"{document_id}-bulk")["status"] in ("queued", "running")
    client.cancel(f"{document_id}-bulk")
