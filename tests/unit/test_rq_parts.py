"""RQ's side without a server: what messages are told apart, time limits, names, and RQ not being installed."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from smart_rag_tasks import names
from smart_rag_tasks.rq_compat import celery_side, rq_side
from smart_rag_tasks.rq_compat.items import FOREIGN, RUN, SINGLE, UPKEEP, Item
from smart_rag_tasks.rq_compat.limits import SoftTimeLimitExceeded, time_limits
from smart_rag_tasks.rq_compat.queues import FUNCTIONS, LEGACY_FUNCTIONS, job_id_of, options
from smart_rag_tasks.rq_compat.worker import JOB_MONITORING, MAINTENANCE, WORKER_TTL
from smart_rag_tasks.stages.calling import SOFT_LIMIT


def job(function: str, *args: object, **kwargs: object) -> Item:
    data = zlib.compress(json.dumps([function, None, args, kwargs]).encode())
    return rq_side.parse(data, "id:execution", "waiting", "metadata_queue")


def message(task: str, args: list[object], kwargs: dict[str, object]) -> Item:
    raw = {
        "body": json.dumps([args, kwargs, {"callbacks": None}]),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": task, "id": "task-id"},
        "properties": {},
    }
    return celery_side.parse(json.dumps(raw).encode(), "waiting", "default")


@pytest.mark.parametrize(
    ("item", "kind", "run_id"),
    [
        (job(FUNCTIONS[names.PROCESS_DOCUMENT_PIPELINE], "doc", run_id="r"), RUN, "r"),
        (job(FUNCTIONS[names.GENERATE_BATCH], "r", [1, 2]), RUN, "r"),
        (job(FUNCTIONS[names.PROCESS_DOCUMENT_PIPELINE], "doc", [{"chunk_id": "c", "text": "t"}]), SINGLE, ""),
        (job(FUNCTIONS[names.GENERATE_METADATA_FOR_CHUNK], "c", "text", "doc"), SINGLE, ""),
        (job(FUNCTIONS[names.SWEEP]), UPKEEP, ""),
        (job("shop.mail.send", 1), FOREIGN, ""),
        (message(names.GENERATE_BATCH, ["r", 3], {}), RUN, "r"),
        (message(names.POSTPROCESS_RESULTS, [], {"run_id": "r"}), RUN, "r"),
        (message(names.GENERATE_BATCH_METADATA, [{"run_id": "r"}], {}), RUN, "r"),
        (message("generate_metadata_with_retry", ["c", "text", "doc"], {}), SINGLE, ""),
        (message(names.RESCAN, [], {}), UPKEEP, ""),
        (message("shop.send", [], {}), FOREIGN, ""),
    ],
)
def test_messages_are_told_apart(item: Item, kind: str, run_id: str) -> None:
    assert (item.kind, item.run_id) == (kind, run_id)


@pytest.mark.parametrize("name", sorted(LEGACY_FUNCTIONS))
def test_the_older_installations_function_is_ours_if_its_arguments_fit(name: str) -> None:
    assert job(name, "c", "text", "doc").task == names.GENERATE_METADATA_FOR_CHUNK
    assert job(name, "c", chunk_text="text", document_id="doc").document_ids == ["doc"]
    assert job(name, "c", "text").reason == "unknown function"
    assert job(name, "c", "text", "doc", "priority").reason == "unknown function"


def test_a_pickled_job_is_named_and_not_opened() -> None:
    data = zlib.compress(pickle.dumps(("app.tasks.run", None, (1,), {})))
    item = rq_side.parse(data, "id", "waiting", "default")
    assert (item.reason, item.function, item.kind) == ("pickled", "app.tasks.run", FOREIGN)


@pytest.mark.parametrize("data", [b"", b"\x80", b"not compressed", zlib.compress(b"[1, 2]"), zlib.compress(b"{}")])
def test_rubbish_is_left_alone(data: bytes) -> None:
    assert rq_side.parse(data, "id", "waiting", "default").kind == FOREIGN


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"\xff", json.dumps({"headers": {"task": "x"}}).encode()])
def test_rubbish_in_celerys_queues_too(raw: bytes) -> None:
    assert celery_side.parse(raw, "waiting", "default").kind == FOREIGN


def test_every_function_is_there() -> None:
    from rq.utils import import_attribute

    assert all(callable(import_attribute(name)) for name in FUNCTIONS.values())


def test_descriptions_are_ours_and_retries_have_intervals() -> None:
    made = options(names.GENERATE_METADATA_FOR_CHUNK, "doc")
    assert made["description"] == "generate_metadata_for_chunk doc"
    assert (made["timeout"], made["result_ttl"], made["failure_ttl"]) == (600, 86_400, 604_800)
    assert made["retry"].max == 3 and min(made["retry"].intervals) > 0


def test_job_ids_are_what_rq_allows() -> None:
    assert job_id_of("5ae6a77b-8baa-4cdb") == "5ae6a77b-8baa-4cdb"
    assert job_id_of("a:b") == job_id_of("a:b") != job_id_of("a:c")
    assert ":" not in job_id_of("a:b")


def test_a_killed_workers_job_comes_back_within_two_minutes() -> None:
    given_up = JOB_MONITORING + 60  # RQ's own margin
    looked_for = MAINTENANCE + (WORKER_TTL - 15)
    assert given_up + looked_for + 5 < 120


def test_the_soft_limit_raises_what_the_stages_know_and_the_jobs_alarm_goes_on() -> None:
    signal.alarm(50)
    with pytest.raises(SoftTimeLimitExceeded) as raised, time_limits(1, 30):
        time.sleep(5)
    assert type(raised.value).__name__ == SOFT_LIMIT
    assert 45 <= signal.alarm(0) <= 50


def test_the_hard_limit_kills_who_is_deaf() -> None:
    program = (
        "import time\n"
        "from smart_rag_tasks.rq_compat.limits import time_limits\n"
        "with time_limits(1, 1.5):\n"
        "    while True:\n"
        "        try: time.sleep(9)\n"
        "        except Exception: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=30, capture_output=True)
    assert done.returncode == -signal.SIGKILL


WITHOUT_RQ = "import sys; sys.modules['rq'] = None; from smart_rag_tasks.cli import main; main()"


@pytest.mark.parametrize("words", [("rq", "worker"), ("rq", "status"), ("migrate", "assess"), ("migrate", "rollback")])
def test_without_rq_the_error_gives_the_pip_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_RQ, *words], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.strip() == "Error: RQ is not installed: pip install 'smart-rag-tasks[rq]'"


def test_without_rq_a_submission_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['rq'] = None\n"
        "from smart_rag_tasks.client import Client\n"
        "client = Client()\n"
        "try: client.submit('doc', [{'chunk_id': 'c', 'text': 't'}])\n"
        "except Exception as error: print(error)\n"
        "print(client.document_ids())\n"
    )
    environment = {"USE_CELERY": "false", "SMART_RAG_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=60, env=environment
    )
    assert "pip install 'smart-rag-tasks[rq]'" in done.stdout and done.stdout.endswith("[]\n"), done.stderr
