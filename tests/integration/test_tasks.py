"""The tasks as applications call them: by import, by name without the store, by the requirements document's names."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from stack import Stack, chunks_of, wait_until
from testing_generators import read

from smart_rag_tasks import Client, app, document_processor, process_document_pipeline
from smart_rag_tasks.document_processor import DocumentProcessor
from smart_rag_tasks.errors import InvalidInput
from smart_rag_tasks.tasks import generate_metadata_for_chunk


@pytest.fixture
def producer(live: Stack) -> Celery:
    """An application that has the broker's URL and nothing of ours."""
    url = live.env["REDIS_URL"]
    return Celery("elsewhere", broker=url, backend=url)


@pytest.mark.parametrize("name", ["smart_rag_tasks.process_document_pipeline", "process_document_pipeline"])
def test_a_producer_without_the_store_sends_chunks_by_name(producer: Celery, document_id: str, name: str) -> None:
    result = producer.send_task(name, args=[document_id, chunks_of("one", "two")], queue="intake_queue")

    assert "completed" == result.get(timeout=20)["final_status"]
    assert 2 == len(Client().document(document_id)["chunks"])


def test_what_a_worker_refuses_reaches_the_caller_with_the_reason(producer: Celery, document_id: str) -> None:
    result = producer.send_task("process_document_pipeline", args=[document_id, [{"text": "x"}]], queue="intake_queue")

    with pytest.raises(Exception, match=r"chunks\[0\]\.chunk_id: is missing"):
        result.get(timeout=20)


def test_what_a_worker_refuses_is_not_tried_again(producer: Celery) -> None:
    chunks = [{"chunk_id": "\U00020000" * 256, "text": "x"}]
    result = producer.send_task("process_document_pipeline", args=["\U00020000" * 512, chunks], queue="intake_queue")

    with pytest.raises(Exception, match="document_id: has 2,048 bytes in UTF-8"):
        result.get(timeout=20)


@pytest.mark.parametrize(
    "fields", [{"text": "x" * 50_000}, {"section_path": ["x" * 50_000]}, {"metadata": {"x": "x" * 50_000}}]
)
def test_more_than_a_megabyte_in_a_message_is_refused(
    producer: Celery, document_id: str, fields: dict[str, Any]
) -> None:
    chunks = [{"chunk_id": f"c{number}", "text": "x"} | fields for number in range(25)]
    result = producer.send_task("process_document_pipeline", args=[document_id, chunks], queue="intake_queue")

    with pytest.raises(Exception, match="hand over a file"):
        result.get(timeout=20)


def test_a_callback_in_a_message_fires_at_the_true_end_and_once(producer: Celery, document_id: str) -> None:
    callback = producer.signature("celery.accumulate", kwargs={"index": 0}, task_id=f"cb-{document_id}")
    chunks = [{"chunk_id": f"c{number}", "text": f"{document_id} {number}"} for number in range(600)]
    result = producer.send_task(
        "process_document_pipeline", args=[document_id, chunks], queue="intake_queue", link=callback
    )

    final = result.get(timeout=30)
    assert 600 == final["processed_chunks"]
    assert final == producer.AsyncResult(f"cb-{document_id}").get(timeout=20)


def test_one_chunk(producer: Celery, document_id: str) -> None:
    name = "generate_metadata_for_chunk"
    arguments = ["c7", f"{document_id} a chunk on its own", document_id]

    first = producer.send_task(name, args=arguments, queue="metadata_queue").get(timeout=20)
    again = producer.send_task(name, args=arguments, queue="metadata_queue").get(timeout=20)

    assert "completed" == first["status"]
    assert ("c7", document_id) == (first["chunk_id"], first["document_id"])
    assert first == again
    assert first["result"] == Client().document(document_id)["chunks"][0]["metadata"]


def test_many_chunks_one_by_one_on_one_document_at_once(producer: Celery, document_id: str) -> None:
    results = [
        producer.send_task(
            "generate_metadata_for_chunk", args=[f"c{n}", f"{document_id} {n}", document_id], queue="metadata_queue"
        )
        for n in range(20)
    ]

    assert {"completed"} == {result.get(timeout=20)["status"] for result in results}
    chunks = Client().document(document_id)["chunks"]
    assert 20 == len(chunks)
    assert {"done"} == {chunk["status"] for chunk in chunks}


def test_a_list_of_chunks_of_several_documents(producer: Celery, document_id: str) -> None:
    given = [
        {"chunk_id": f"c{n}", "text": f"{document_id} {n}", "document_id": f"{document_id}-{n % 2}"} for n in range(6)
    ]

    answer = producer.send_task("batch_metadata_generation", args=[given], queue="metadata_queue").get(timeout=20)

    assert (6, "submitted") == (answer["task_count"], answer["status"])
    for document, run_id in answer["runs"].items():
        assert "completed" == Client().result(run_id, timeout=20).final_status
        assert 3 == len(Client().document(document)["chunks"])


@pytest.mark.parametrize(
    ("bad", "said"),
    [({"text": " "}, "text: is empty"), ({"text": "x" * 99_000, "many": 20}, "more than 1,000,000 bytes")],
)
def test_a_list_with_something_wrong_is_refused_as_a_whole(
    producer: Celery, document_id: str, bad: dict[str, Any], said: str
) -> None:
    good = {"chunk_id": "c", "text": "good", "document_id": f"{document_id}-good"}
    wrong = [{"chunk_id": f"c{n}", "document_id": f"{document_id}-bad", **bad} for n in range(bad.get("many", 1))]
    result = producer.send_task("batch_metadata_generation", args=[[good, *wrong]], queue="metadata_queue")

    with pytest.raises(Exception, match=said):
        result.get(timeout=20)
    assert f"{document_id}-good" not in Client().document_ids()


def test_the_stages_chained_by_hand(live: Stack, document_id: str) -> None:
    from smart_rag_tasks.tasks import generate_batch_metadata, postprocess_results, preprocess_document

    chunks = [{"chunk_id": f"c{number}", "text": f"{document_id} {number}"} for number in range(400)]
    chain = (
        preprocess_document.s(document_id, chunks)
        | generate_batch_metadata.s()
        | postprocess_results.s(document_id)
    )  # fmt: skip

    final = chain.apply_async().get(timeout=30)

    assert ("completed", 400) == (final["final_status"], final["processed_chunks"])


def test_what_the_stages_chained_by_hand_refuse_reaches_the_caller(producer: Celery, document_id: str) -> None:
    refused = producer.signature("preprocess_document", args=[document_id, [{}]], queue="intake_queue")
    chain = (
        refused
        | producer.signature("generate_batch_metadata", queue="intake_queue")
        | producer.signature("postprocess_results", args=[document_id], queue="default")
    )

    with pytest.raises(Exception, match="chunk_id: is missing"):
        chain.apply_async().get(timeout=20)


def test_a_file_that_is_handed_over_by_name_is_answered(producer: Celery) -> None:
    result = producer.send_task("smart_rag_tasks.ingest_file", args=["/nowhere/a.md"], queue="intake_queue")
    with pytest.raises(Exception, match="outside the folders"):
        result.get(timeout=20)


def test_two_submissions_of_the_same_are_one_run(live: Stack, document_id: str) -> None:
    chunks = [{"chunk_id": f"c{number}", "text": f"{document_id} {number}"} for number in range(3000)]
    first = process_document_pipeline.delay(document_id, chunks)
    second = process_document_pipeline.delay(document_id, chunks)

    assert first.id == second.id
    assert "completed" == second.get(timeout=60)["final_status"]


@pytest.mark.parametrize(("name", "texts"), [("", ["one changed", "two"]), ("-other", ["one"])])
def test_a_task_id_is_one_submissions(live: Stack, document_id: str, name: str, texts: list[str]) -> None:
    client, task_id = Client(), f"id-{os.urandom(4).hex()}"

    def submitted(document: str, *texts: str) -> Any:
        return process_document_pipeline.apply_async((document, chunks_of(*texts)), task_id=task_id).get(timeout=20)

    first = submitted(document_id, "one")
    assert first == submitted(document_id, "one")  # the same arguments: the same submission

    with pytest.raises(InvalidInput, match=f"task_id: {task_id} is the id of another submission .* give a new one"):
        submitted(document_id + name, *texts)
    assert [document_id] == [known for known in client.document_ids() if known.startswith(document_id)]
    assert ["one"] == [chunk["text"] for chunk in client.document(document_id)["chunks"]]


def test_a_message_with_the_task_id_of_another_is_refused(producer: Celery, document_id: str) -> None:
    def send(document: str, *texts: str) -> Any:
        arguments = [document, chunks_of(*texts)]
        return producer.send_task(
            "process_document_pipeline", args=arguments, queue="intake_queue", task_id=document_id[-60:]
        )

    assert "completed" == send(document_id, "one").get(timeout=20)["final_status"]

    def refusal() -> str:
        """Sent again if the end of the first was told late: Celery keeps the success that it has of an id."""
        app.AsyncResult(document_id[-60:]).forget()
        with suppress(Exception):
            send(f"{document_id}-other", "two").get(timeout=5)
        result = app.AsyncResult(document_id[-60:])
        return str(result.result) if result.failed() else ""

    assert "is the id of another submission" in wait_until(refusal, what="the refusal")
    assert f"{document_id}-other" not in Client().document_ids()


def test_a_newer_submission_takes_over(live: Stack, document_id: str) -> None:
    old = [{"chunk_id": f"c{number}", "text": f"{document_id} {number}"} for number in range(3000)]
    first = process_document_pipeline.delay(document_id, old)
    second = process_document_pipeline.delay(document_id, chunks_of(f"{document_id} new"))

    assert "completed" == second.get(timeout=60)["final_status"]
    assert "cancelled" == first.get(timeout=20)["final_status"]
    assert ["c0"] == [chunk["chunk_id"] for chunk in Client().document(document_id)["chunks"]]


def test_cancel_pause_resume(live: Stack, document_id: str) -> None:
    client = Client()
    chunks = [{"chunk_id": f"c{number}", "text": f"{document_id} {number}"} for number in range(20_000)]
    result = process_document_pipeline.delay(document_id, chunks)

    client.pause(document_id)
    assert "paused" == client.status(document_id)["status"]
    wait_until(lambda: len({client.status(document_id)["done"] for _ in range(3)}) == 1)
    client.resume(document_id)
    wait_until(lambda: client.status(document_id)["status"] == "running", timeout=30)
    client.cancel(document_id)

    assert "cancelled" == result.get(timeout=20)["final_status"]
    assert "cancelled" == client.status(document_id)["status"]


def test_delete_while_it_is_worked_on(live: Stack, document_id: str) -> None:
    client = Client()
    chunks = [{"chunk_id": f"c{number}", "text": f"{document_id} {number}"} for number in range(5000)]
    result = process_document_pipeline.delay(document_id, chunks)

    client.delete(document_id)

    assert "cancelled" == result.get(timeout=20)["final_status"]
    assert document_id not in client.document_ids()


class ListStore:
    """A vector store as small as they come; raises at its first ``raises`` calls."""

    def __init__(self, raises: int = 0) -> None:
        self.records: dict[tuple[str, str], Any] = {}
        self.raises = raises

    def upsert(self, records: Any) -> None:
        if self.raises:
            self.raises -= 1
            raise ConnectionError("Tea is grown on slopes.")
        self.records.update({(record["document_id"], record["chunk_id"]): record for record in records})

    def delete(self, document_id: str, chunk_ids: Any) -> None:
        for chunk_id in chunk_ids:
            del self.records[document_id, chunk_id]


def test_document_processor(live: Stack, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "tea.md").write_text("# Tea\n\nTea is grown on slopes.\n", encoding="utf-8")
    (tmp_path / "in" / "broken.pdf").write_bytes(b"%PDF-1.4 cut off")
    store = ListStore()

    processor = DocumentProcessor(tmp_path / "in", tmp_path / "out", vector_store=store)
    (result,) = processor.process(timeout=30)

    assert "completed" == result["status"]
    (written,) = (tmp_path / "out").glob("*.jsonl")
    assert '"Tea is grown' in written.read_text(encoding="utf-8").replace("# Tea\\n\\n", "")
    assert 1 == len(store.records)
    assert "broken.pdf" in next(iter(processor.refused))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three documents of two chunks."""
    (tmp_path / "in").mkdir()
    for name in "abc":
        text = f"# Tea\n\n## Slopes\n\nTea {name} is grown on slopes.\n\n## Leaves\n\nIts leaves are picked.\n"
        (tmp_path / "in" / f"{name}.md").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_document_processor_deletes_chunks_that_went(live: Stack, folder: Path) -> None:
    store = ListStore()
    DocumentProcessor(folder / "in", folder / "out", vector_store=store).process(timeout=30)
    (folder / "in" / "a.md").write_text("# Tea\n\nTea a is grown on slopes.\n", encoding="utf-8")

    processor = DocumentProcessor(folder / "in", folder / "out", vector_store=store)
    ids = [result["document_id"] for result in processor.process(timeout=30)]

    assert {(record["document_id"], record["chunk_id"]) for record in processor.client.records(ids)} == set(
        store.records
    )


def test_a_vector_store_that_raises_once_is_tried_again(live: Stack, folder: Path) -> None:
    store = ListStore(raises=1)
    results = DocumentProcessor(folder / "in", folder / "out", vector_store=store).process(timeout=30)

    assert [""] * 3 == [result["sink_error"] for result in results]
    assert 3 == len({document_id for document_id, _ in store.records})


def test_a_vector_store_that_is_away_is_reported_and_fed_the_next_time(
    live: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(document_processor, "SINK_PAUSES", (0.01, 0.01))
    store = ListStore(raises=9)
    processor = DocumentProcessor(folder / "in", folder / "out", vector_store=store)
    results = processor.process(timeout=30)

    assert [("completed", "ConnectionError")] * 3 == [(result["status"], result["sink_error"]) for result in results]
    assert 3 == len(list((folder / "out").glob("*.jsonl")))
    assert "ConnectionError" in caplog.text
    assert "slopes" not in caplog.text

    assert [""] * 3 == [result["sink_error"] for result in processor.process(timeout=30)]
    assert 3 == len({document_id for document_id, _ in store.records})


def test_a_document_that_is_deleted_meanwhile_costs_only_itself(
    live: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ListStore()
    processor = DocumentProcessor(folder / "in", folder / "out", vector_store=store)
    processor.process(timeout=30)
    gone, *others = runs = processor.submit()
    monkeypatch.setattr(processor, "submit", lambda: dict(runs))
    processor.client.delete(gone)

    results = {result["document_id"]: result for result in processor.process(timeout=30)}

    assert {gone: "deleted"} | dict.fromkeys(others, "completed") == {id: of["status"] for id, of in results.items()}
    assert set(results[others[0]]) == set(results[gone])
    assert 2 == len(list((folder / "out").glob("*.jsonl")))
    assert set(others) == {document_id for document_id, _ in store.records}


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"lane": "fast"}, "lane: 'fast' is none; use bulk or interactive"),
        ({"output_dir": __file__}, "output_dir: .* is no folder and cannot be made"),
        ({"vector_store": object()}, r"vector_store: object has no method upsert\(\)"),
        ({"vector_store": ListStore}, "vector_store: must be an object"),
        ({"vector_store": "nosuch:Sink"}, r"^vector_store: 'nosuch:Sink' cannot be loaded \(No module"),
        ({"vector_store": "json:JSONDecoder"}, r"^vector_store: json:JSONDecoder has no method upsert\(\)"),
    ],
)
def test_a_document_processor_refuses_what_it_cannot_use(
    live: Stack, folder: Path, argument: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        DocumentProcessor(**{"input_dir": folder / "in", "output_dir": folder / "out", **argument})


def test_a_file_on_no_lane(live: Stack, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="lane: 'fast' is none"):
        Client().submit_file(folder / "in" / "a.md", lane="fast")


def test_a_sink_that_the_workers_feed(new_stack: Callable[..., Stack], document_id: str, tmp_path: Path) -> None:
    stack = new_stack(SMART_RAG_SINK="file_sink:FileSink", FILE_SINK=str(tmp_path / "sink"))
    stack.ledger_generator()
    stack.enter_environment()
    stack.start_worker()

    process_document_pipeline.delay(document_id, chunks_of("one", "two")).get(timeout=20)

    wait_until(lambda: (tmp_path / "sink").exists() and "c1" in (tmp_path / "sink").read_text(), what="the sink")


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ("text", "chunks: must be a list of dicts, not str"),
        (["text"], r"chunks\[0\]: must be a dict with chunk_id and text, not str"),
        ([{"chunk_id": "a", "text": "x"}, {"chunk_id": "a", "text": "y"}], r"chunks\[1\].chunk_id: 'a' is there twice"),
        ([{"chunk_id": "a", "text": "  "}], r"chunks\[0\].text: is empty; leave the chunk out"),
        ([{"chunk_id": "a", "text": "x\x00"}], r"chunks\[0\].text: holds a NUL"),
        ([{"chunk_id": "a", "text": "\ud800"}], r"chunks\[0\].text: holds a NUL or half a character"),
        ([{"chunk_id": "a", "text": "x" * 100_001}], r"chunks\[0\].text: has 100,001 characters, at most 100,000"),
        ([{"chunk_id": 7, "text": "x"}], r"chunks\[0\].chunk_id: must be a text, not int"),
        ([{"chunk_id": "a", "text": "x", "page": "two"}], r"chunks\[0\].page: must be a whole number"),
    ],
)
def test_bad_chunks(live: Stack, document_id: str, chunks: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        process_document_pipeline.delay(document_id, chunks)
    assert document_id not in Client().document_ids()


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 513, None, 7])
def test_bad_document_ids(live: Stack, name: Any) -> None:
    with pytest.raises(InvalidInput, match="document_id"):
        process_document_pipeline.delay(name, chunks_of("x"))


@pytest.mark.parametrize("name", ["folder/with/slashes", "文档 一", "emoji 🙂", "100%_%s"])
def test_unusual_document_ids_work(live: Stack, document_id: str, name: str) -> None:
    final = process_document_pipeline.delay(f"{name} {document_id}", chunks_of("！？。…", "🙂🙂")).get(timeout=20)

    assert "completed" == final["final_status"]


def test_unknown_lane_and_unknown_document(live: Stack, document_id: str) -> None:
    with pytest.raises(InvalidInput, match="lane: 'fast' is none; use bulk or interactive"):
        process_document_pipeline.delay(document_id, chunks_of("x"), lane="fast")
    with pytest.raises(InvalidInput, match="no chunks are stored"):
        process_document_pipeline.delay(document_id)


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        (("d", chunks_of("x")), {"foo": 1}, "got an unexpected keyword argument 'foo'; it takes document_id, chunks"),
        ((), {"chunks": chunks_of("x")}, "missing a required argument: 'document_id'"),
        (("d", chunks_of("x"), "bulk", False, 1), {}, "too many positional arguments"),
    ],
)
def test_a_call_that_does_not_fit(live: Stack, args: Any, kwargs: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"process_document_pipeline: {said}"):
        process_document_pipeline.apply_async(args, kwargs)


def test_no_text_in_what_is_published(live: Stack, document_id: str) -> None:
    """Ids travel, text does not: nothing of a chunk is in Redis, in the message or anywhere else."""
    import redis

    secret = f"very-private-{document_id[-6:]}"
    client = redis.Redis.from_url(live.env["REDIS_URL"])
    monitor: list[bytes] = []
    with client.monitor() as listening:
        listening.connection._sock.settimeout(5)
        process_document_pipeline.delay(document_id, chunks_of(*(f"{secret} {n}" for n in range(300)))).get(timeout=30)
        try:
            while not monitor or document_id.encode() not in monitor[-1] or b"SUCCESS" not in monitor[-1]:
                monitor.append(listening.next_command()["command"].encode())
        except (OSError, redis.exceptions.TimeoutError):
            pass
    assert any(document_id.encode() in command for command in monitor)
    assert not any(secret.encode() in command for command in monitor)
    assert app.conf.task_serializer == "json"


def test_one_chunk_is_tried_again_as_its_error_deserves(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack()
    stack.ledger_generator()
    stack.start_worker()

    slow = generate_metadata_for_chunk.delay("c1", "transient:1 of service", "single")
    broken = generate_metadata_for_chunk.delay("c2", "raise:always and again", "single")
    wrong = generate_metadata_for_chunk.delay("c3", "wrong: for ever", "single")

    assert "completed" == slow.get(timeout=30)["status"]
    assert ("failed", "RuntimeError: this chunk was told to raise") == tuple(
        broken.get(timeout=30)[name] for name in ("status", "error")
    )
    assert "failed" == wrong.get(timeout=30)["status"]
    tries = read(stack.ledger)
    assert [2, 3, 1] == [tries["single", name] for name in ("c1", "c2", "c3")]

    broken_again = generate_metadata_for_chunk.delay("c2", "raise:4 and again", "single")
    assert "completed" == broken_again.get(timeout=30)["status"]
