"""What an application's own tasks are told, on its own queue, by link and by chain."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery import chain, chord, group
from stack import Stack, chunks_of
from worker_process import running

from smart_rag_tasks import Client, app, names, process_document_pipeline
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

    now = dt.datetime.now(dt.UTC)
    given = ["linked", now, now.date(), Decimal("1.50"), uuid.uuid4(), b"bytes"]  # what Celery's JSON can carry
    by_link = host.told.s(*given).set(queue="host_queue", eta=now, expires=now + dt.timedelta(hours=1)).clone()
    linked = by_link.freeze()
    process_document_pipeline.apply_async(("linked", chunks_of("one")), link=by_link)
    assert ["linked", "completed", *given] == linked.get(timeout=30)

    chained = chain(process_document_pipeline.s("chained", chunks_of("one", "two")), told, then).apply_async()
    result = host.app.AsyncResult(chained.id)
    assert ["chained", "completed", "then"] == result.get(timeout=30)

    header = [process_document_pipeline.s(f"part-{n}", chunks_of(*["text"] * n)) for n in (1, 3)]
    body = chord(header, host.count.s().set(queue="host_queue")).apply_async()
    counted = host.app.AsyncResult(body.id)
    assert [["part-1", 1], ["part-3", 3]] == counted.get(timeout=30)

    for each in (linked, chained, result, body, counted):  # before their Redis goes
        each.forget()


#: In a process of its own: the order of the imports is what counts.
OURS, THEIRS = "from smart_rag_tasks import app, process_document_pipeline", "import host_app"
USE = """
assert celery.current_app == host_app.app
assert "ABC" == host_app.shared.delay("abc").get(timeout=20)
given = ("shared", [{"chunk_id": "c", "text": "one"}])
assert "completed" == process_document_pipeline.delay(*given).get(timeout=20)["final_status"]
for link in (host_app.shared.si("abc"), celery.group(host_app.shared.si("abc"), host_app.shared.si("abc"))):
    try:
        process_document_pipeline.apply_async(given, link=link)
    except Exception as error:
        assert "host.shared is none of this application's" in str(error), error
    else:
        raise AssertionError(f"{link} was taken without a queue")
"""


@pytest.mark.parametrize("imports", [(OURS, THEIRS), (THEIRS, OURS)], ids=["ours first", "theirs first"])
def test_the_applications_shared_tasks_stay_its_own(host: ModuleType, imports: tuple[str, ...]) -> None:
    done = in_python("import celery", *imports, USE)
    assert 0 == done.returncode, done.stderr


def test_alone_in_its_process_it_is_celerys_current_application(live: Stack, document_id: str) -> None:
    given = f"process_document_pipeline.delay({document_id!r}, [{{'chunk_id': 'c', 'text': 'one'}}]).id"
    done = in_python(OURS, f"import celery.result as r; print(r.AsyncResult({given}).get(timeout=20)['final_status'])")
    assert ("completed\n", 0) == (done.stdout, done.returncode), done.stderr


LOGS = "from celery import signals; from celery.app import trace"
LOGS += "; print(len(signals.setup_logging.receivers), '%(return_value)s' in trace.LOG_SUCCESS)"


def test_a_worker_of_another_application_logs_as_it_did() -> None:
    theirs = in_python("from celery import Celery; host = Celery('host')", OURS, LOGS)
    ours = in_python(OURS, LOGS)
    assert ("0 True\n", "1 False\n") == (theirs.stdout, ours.stdout), theirs.stderr + ours.stderr


def in_python(*lines: str) -> subprocess.CompletedProcess[str]:
    """The lines, run by another Python in the same environment."""
    command = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=120)


def test_a_chord_of_interactive_runs_needs_workers_of_their_queue_only(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack()
    stack.ledger_generator()
    stack.start_worker(queues=names.RESERVED_QUEUES)

    header = [process_document_pipeline.s(f"quick-{n}", chunks_of("one"), lane="interactive") for n in range(2)]
    body = app.signature("celery.accumulate", kwargs={"index": 0}, queue=names.PRIORITY_QUEUE)
    result = chord(header, body).apply_async()

    assert ["completed"] * 2 == [final["final_status"] for final in result.get(timeout=20)]
    result.forget()  # before its Redis goes


def test_what_could_never_be_called_is_refused(host: ModuleType) -> None:
    with pytest.raises(InvalidInput, match=r"link: task host.told is none of this application's; .*\.set\(queue=…\)"):
        process_document_pipeline.apply_async(("refused", chunks_of("one")), link=host.told.s())
    assert "refused" not in Client().document_ids()


ALONE, QUEUED = app.signature("their.task"), app.signature("their.task", queue="theirs")
OURS_TOO = app.signature("celery.accumulate", kwargs={"index": 0})


@pytest.mark.parametrize(
    "link",
    [
        group(QUEUED, ALONE),
        chain(OURS_TOO, ALONE),
        chain(OURS_TOO, group(QUEUED, OURS_TOO | ALONE)),
        chord([OURS_TOO], ALONE),
        chord([ALONE], OURS_TOO),
        chord([OURS_TOO], ALONE).set(queue="theirs"),
        dict(OURS_TOO | ALONE),
        [QUEUED, OURS_TOO.clone().set(chain=[QUEUED, ALONE])],
    ],
)
def test_a_canvas_is_refused_for_any_task_without_a_queue(live: Stack, document_id: str, link: Any) -> None:
    with pytest.raises(InvalidInput, match=r"link: task their.task is none of this application's; .*\.set\(queue=…\)"):
        process_document_pipeline.apply_async((document_id, chunks_of("one")), link=link)
    with pytest.raises(InvalidInput, match="link: task their"):
        chain(process_document_pipeline.s(document_id, chunks_of("one")), OURS_TOO, ALONE).apply_async()
    assert document_id not in Client().document_ids()


@pytest.mark.parametrize(
    "link",
    [
        group(QUEUED, OURS_TOO),
        group(ALONE, ALONE).set(queue="theirs"),
        chain(OURS_TOO, QUEUED, ALONE),  # the last one is sent by their workers
        chain(ALONE, QUEUED).set(queue="theirs"),
        chord([ALONE, ALONE], QUEUED).set(queue="theirs"),
    ],
)
def test_a_canvas_whose_tasks_have_their_queues_is_taken(live: Stack, document_id: str, link: Any) -> None:
    result = process_document_pipeline.apply_async((document_id, chunks_of("one")), link=link)
    assert "completed" == result.get(timeout=20)["final_status"]


@pytest.mark.parametrize(
    "link", ["celery.accumulate", 5, {"task": 5}, {}, [None], len, group([None]), {"task": "celery.accumulate"}]
)
def test_a_link_that_is_no_signature_is_refused(live: Stack, document_id: str, link: Any) -> None:
    with pytest.raises(InvalidInput, match=r"link: must be a signature \(task.s\(…\)\) or a list of them"):
        process_document_pipeline.apply_async((document_id, chunks_of("one")), link=link)
    assert document_id not in Client().document_ids()


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}, "\ud800"])
def test_a_link_that_json_cannot_hold_is_refused(live: Stack, document_id: str, value: Any) -> None:
    link = app.signature("celery.accumulate", args=(value,))
    with pytest.raises(InvalidInput, match=r"link: celery\.accumulate has arguments or options that JSON cannot hold"):
        process_document_pipeline.apply_async((document_id, chunks_of("one")), link=link)
    assert document_id not in Client().document_ids()


@pytest.mark.parametrize("task_id", ["x" * 65, "a\x00b", "\ud800", 5])
def test_a_task_id_that_no_run_can_have_is_refused(live: Stack, document_id: str, task_id: Any) -> None:
    with pytest.raises(InvalidInput, match="task_id: must be a text of 1 to 64 characters"):
        process_document_pipeline.apply_async((document_id, chunks_of("one")), task_id=task_id)
    assert document_id not in Client().document_ids()
