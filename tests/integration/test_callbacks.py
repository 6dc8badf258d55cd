"""What an application's own tasks are told, on its own queue, by link and by chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from celery import chain, chord
from stack import Stack, chunks_of
from worker_process import running

from smart_rag_tasks import Client, process_document_pipeline
from smart_rag_tasks.errors import InvalidInput


@pytest.fixture
def host(new_stack: Callable[..., Stack], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    stack = new_stack()
    stack.ledger_generator()
    stack.start_worker()
    monkeypatch.setenv("REDIS_URL", stack.env["REDIS_URL"])
    import host_app

    monkeypatch.setattr(host_app.app.conf, "broker_url", stack.env["REDIS_URL"])
    monkeypatch.setattr(host_app.app.conf, "result_backend", stack.env["REDIS_URL"])
    with running("host_app", stack.home / "host.log", REDIS_URL=stack.env["REDIS_URL"]):
        yield host_app


def test_the_applications_own_task_is_told_by_link_chain_and_chord(host: ModuleType) -> None:
    told, then = host.told.s().set(queue="host_queue"), host.then.s().set(queue="host_queue")

    by_link = host.told.s("linked").set(queue="host_queue").clone()
    linked = by_link.freeze()
    process_document_pipeline.apply_async(("linked", chunks_of("one")), link=by_link)
    assert ["linked", "completed", "linked"] == linked.get(timeout=30)

    chained = chain(process_document_pipeline.s("chained", chunks_of("one", "two")), told, then).apply_async()
    result = host.app.AsyncResult(chained.id)
    assert ["chained", "completed", "then"] == result.get(timeout=30)

    header = [process_document_pipeline.s(f"part-{n}", chunks_of(*["text"] * n)) for n in (1, 3)]
    body = chord(header, host.count.s().set(queue="host_queue")).apply_async()
    counted = host.app.AsyncResult(body.id)
    assert [["part-1", 1], ["part-3", 3]] == counted.get(timeout=30)

    for each in (linked, chained, result, body, counted):  # before their Redis goes
        each.forget()


def test_what_could_never_be_called_is_refused(host: ModuleType) -> None:
    with pytest.raises(InvalidInput, match=r"link: task host.told is none of this application's; .*\.set\(queue=…\)"):
        process_document_pipeline.apply_async(("refused", chunks_of("one")), link=host.told.s())
    assert "refused" not in Client().document_ids()
