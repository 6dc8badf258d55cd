"""Documents and chunks through real RQ workers: the same end as through Celery's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rq import Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq_stack import start_rq_worker
from stack import Stack, chunks_of, wait_until
from testing_generators import read

from smart_rag_tasks import process_document_pipeline
from smart_rag_tasks.client import Client
from smart_rag_tasks.document_processor import DocumentProcessor
from smart_rag_tasks.rq_compat import HybridTaskManager, RQMonitor
from smart_rag_tasks.rq_compat.queues import connect, job_id_of
from smart_rag_tasks.store import runs


@pytest.fixture(scope="module")
def rq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Stack whose documents all go to RQ, with two RQ workers and no Celery worker at all."""
    with Stack(tmp_path_factory.mktemp("rq"), USE_CELERY="false") as stack:
        stack.configure(SMART_RAG_SWEEP_SECONDS="1", SMART_RAG_LOST_AFTER="3")
        stack.ledger_generator()
        stack.enter_environment()
        start_rq_worker(stack)
        yield stack


def test_a_document_of_many_batches_ends_as_on_celery(rq: Stack, document_id: str) -> None:
    run = HybridTaskManager().submit_task(document_id, chunks_of(*(f"text {n}" for n in range(700))))
    end = run.get(timeout=60)
    assert (run.engine, end.final_status, end.processed_chunks) == ("rq", "completed", 700)
    counts = [count for (name, _), count in read(rq.ledger).items() if name == document_id]
    assert counts == [1] * 700


def test_delay_follows_the_switch_and_its_result_arrives(rq: Stack, document_id: str) -> None:
    result = process_document_pipeline.delay(document_id, chunks_of("one", "two"))
    assert result.get(timeout=30)["final_status"] == "completed"
    job = Job.fetch(job_id_of(result.id), connection=connect(), serializer=JSONSerializer)
    wait_until(job.return_value, what="the job's own end")  # the document's end is told before it
    assert job.return_value()["processed_chunks"] == 2


def test_an_empty_document_is_empty(rq: Stack, document_id: str) -> None:
    assert HybridTaskManager().submit_task(document_id, []).get(timeout=30).final_status == "empty"


def test_a_chunk_fails_alone_after_its_retries(rq: Stack, document_id: str) -> None:
    run = HybridTaskManager().submit_task(document_id, chunks_of("good", "raise:always", "raise:1"))
    end = run.get(timeout=60)
    assert (end.final_status, end.processed_chunks, end.failed_chunks) == ("completed_with_errors", 2, 1)


def test_poison_is_quarantined_and_its_neighbours_are_done(rq: Stack, document_id: str) -> None:
    run = HybridTaskManager().submit_task(document_id, chunks_of("good", "kill", "fine"))
    end = run.get(timeout=90)
    assert (end.final_status, end.processed_chunks, end.failed_chunks) == ("completed_with_errors", 2, 1)
    states = {chunk["chunk_id"]: chunk["status"] for chunk in Client().document(document_id)["chunks"]}
    assert states == {"c0": "done", "c1": "quarantined", "c2": "done"}


def test_one_chunk_by_itself_no_text_in_redis(rq: Stack, document_id: str) -> None:
    secret = "a text that nobody but the store may hold"
    job = HybridTaskManager().submit_chunk("c1", secret, document_id)
    wait_until(lambda: job.get_status() == JobStatus.FINISHED)
    assert job.return_value()["status"] == "completed"
    redis = connect()
    assert not [key for key in redis.scan_iter() if secret.encode() in (redis.dump(key) or b"")]
    assert secret not in str(redis.hgetall(job.key)) and secret not in (rq.home / "rq1.log").read_text()


def test_a_job_of_the_older_installation_is_answered(rq: Stack, document_id: str) -> None:
    old = Queue("metadata_queue", connection=connect(), serializer=JSONSerializer)
    job = old.enqueue("app.metadata.tasks.generate_metadata_for_chunk", "c1", "old text", document_id)
    wait_until(lambda: job.get_status() == JobStatus.FINISHED)
    assert job.return_value()["document_id"] == document_id


def test_a_job_that_raises_is_really_retried(rq: Stack, document_id: str) -> None:
    job = HybridTaskManager().submit_chunk("c1", "transient:1", document_id)
    wait_until(lambda: job.get_status() == JobStatus.SCHEDULED, what="the retry")
    wait_until(lambda: job.get_status() == JobStatus.FINISHED, timeout=30, what="the second try")
    assert job.return_value()["status"] == "completed"


def test_the_chosen_side_of_a_document_processor(rq: Stack, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "page.md").write_text("# Pumps\n\nSome words about a pump and its valve.\n")
    processor = DocumentProcessor(tmp_path / "in", tmp_path / "out", use_celery=False)
    (result,) = processor.process(timeout=30)
    with processor.client.env.store.read() as connection:
        run = runs.get(connection, result["run_id"])
    assert run is not None and (run.engine, run.status) == ("rq", "completed")


def test_the_monitor_sees_workers_and_queues(rq: Stack) -> None:
    monitor = RQMonitor()
    stats = monitor.get_queue_stats("metadata_queue")
    assert stats["worker_count"] >= 2 and stats["queue_length"] == 0
    assert monitor.health_check()["status"] == "healthy"
    assert monitor.has_scheduler("metadata_queue")
