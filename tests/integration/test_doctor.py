"""``doctor``, as a person calls it: what is wrong with a real system, the command that mends it, within seconds."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from beat_process import Beat
from click.testing import CliRunner
from sqlalchemy import text
from stack import Stack, chunks_of, wait_until

from smart_rag_tasks import names
from smart_rag_tasks.celery import app
from smart_rag_tasks.cli import rag
from smart_rag_tasks.client import Client
from smart_rag_tasks.doctor import clocks
from smart_rag_tasks.monitoring.checks import Subject
from smart_rag_tasks.settings import get_settings
from smart_rag_tasks.stages.environment import environment


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A worker for everything."""
    with Stack(tmp_path_factory.mktemp("doctor")) as stack:
        stack.ledger_generator()
        stack.enter_environment()
        stack.start_worker()
        stack.leave_environment()
        yield stack


@pytest.fixture(scope="module", autouse=True)
def beat(running: Stack) -> Iterator[Beat]:
    """A beat beside it."""
    beat = Beat(running, "beat")
    client = redis.Redis.from_url(running.env["REDIS_URL"])
    wait_until(lambda: client.get(names.BEAT_TICK), what="the first tick")  # it comes after what is due was sent
    yield beat
    beat.process.send_signal(signal.SIGCONT)
    beat.stop()


@pytest.fixture
def stack(running: Stack) -> Iterator[Stack]:
    running.enter_environment()
    yield running
    running.leave_environment()


@pytest.fixture
def client(stack: Stack) -> redis.Redis:
    return redis.Redis.from_url(stack.env["REDIS_URL"])


def doctor(*words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report."""
    done = CliRunner().invoke(rag, ["doctor", "--json", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, json.loads(done.stdout)


def wrong(report: dict[str, Any]) -> dict[str, str]:
    """What is wrong, and the command that mends it."""
    return {item["name"]: item["command"] for item in report["system"] if item["state"] == "wrong"}


def test_all_is_well(stack: Stack) -> None:
    code, report = doctor()
    assert (code, wrong(report), report["documents"]) == (0, {}, [])
    assert {item["state"] for item in report["system"]} == {"ok"}  # nothing was left out
    done = CliRunner().invoke(rag, ["doctor"])
    assert done.stdout.startswith("All documents are done.")
    assert "System: none of" in done.stdout


def test_redis_that_forgets_or_evicts(stack: Stack, client: redis.Redis) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    code, report = doctor()
    assert (code, wrong(report)) == (1, {"persistence": "redis-cli config set maxmemory-policy noeviction"})
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("appendonly", "no")
    assert wrong(doctor()[1]) == {"persistence": "redis-cli config set appendonly yes"}
    client.config_set("appendonly", "yes")
    assert wrong(doctor()[1]) == {}


def test_clocks_are_compared_with_redis_and_postgresql(stack: Stack, postgres_url: str) -> None:
    subject = Subject(app, get_settings().model_copy(update={"store": postgres_url}))
    phrase = clocks(subject)
    assert "Redis " in phrase
    assert "PostgreSQL " in phrase
    subject.store.close()


def test_a_store_of_another_version(stack: Stack) -> None:
    with environment().store.write() as connection:
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        code, report = doctor()
        assert code == 1
        assert "schema" in wrong(report)
    finally:
        with environment().store.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})


def test_a_silent_beat(stack: Stack, client: redis.Redis, beat: Beat) -> None:
    beat.process.send_signal(signal.SIGSTOP)  # it is there, and does nothing
    try:
        client.set(names.BEAT_TICK, json.dumps({"at": time.time() - 500, "owner": "x"}))
        assert wrong(doctor()[1]) == {"beat": "celery -A smart_rag_tasks beat"}
    finally:
        beat.process.send_signal(signal.SIGCONT)
    wait_until(lambda: wrong(doctor()[1]) == {}, what="beat's next tick")


def test_only_redbeats_redis_is_away(stack: Stack) -> None:
    config = "from smart_rag_tasks.celeryconfig import *\nredbeat_redis_url = 'redis://127.0.0.1:1/0'\n"
    (stack.home / "far_beat_config.py").write_text(config)
    path = f"{stack.home}{os.pathsep}{os.environ['PYTHONPATH']}"
    env = os.environ | {"CELERY_CONFIG_MODULE": "far_beat_config", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-m", "smart_rag_tasks", "doctor", "--json"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, set(wrong(json.loads(done.stdout)))) == (1, {"beat"})


def test_a_document_that_waits_for_a_retry_then_is_done(stack: Stack) -> None:
    run = Client().submit("patient", chunks_of("transient:1"))

    def waits() -> dict[str, Any]:
        _, report = doctor("patient")
        return next((item for item in report["documents"] if "retry at" in item["reason"]), {})

    found = wait_until(waits, what="the retry")
    assert found["reason"].endswith("(TransientError)")
    assert not found["wrong"]
    Client().result(run.run_id, timeout=30)
    done = CliRunner().invoke(rag, ["doctor", "patient"])
    assert "patient is done: nothing is under way." in done.stdout


def test_settings_that_break_a_guarantee(stack: Stack) -> None:
    (stack.home / "own_config.py").write_text("from smart_rag_tasks.celeryconfig import *\ntask_acks_late = False\n")
    env = os.environ | {"CELERY_CONFIG_MODULE": "own_config", "PYTHONPATH": str(stack.home)}
    done = subprocess.run(
        [sys.executable, "-m", "smart_rag_tasks", "doctor"], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "task_acks_late is off: a message would be gone before its work is in the store; remove it" in " ".join(
        done.stdout.split()
    )


def test_a_sink_that_cannot_be_imported(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMART_RAG_SINK", "nosuch:Sink")
    assert "sinks" in wrong(doctor()[1])


def test_a_queue_that_nobody_serves(new_stack: Any) -> None:
    stack = new_stack()
    stack.ledger_generator()
    stack.enter_environment()
    Client().submit("one", chunks_of("text"))
    code, report = doctor()
    assert code == 1
    assert wrong(report)["workers"] == "celery -A smart_rag_tasks worker"
    assert report["documents"][0]["reason"] == "no worker serves intake_queue"
    stack.start_worker(queues=(names.MAINTENANCE,))
    found = wrong(doctor()[1])
    assert "workers" not in found
    assert report["documents"][0]["command"] == "celery -A smart_rag_tasks worker -Q intake_queue"


def test_it_ends_in_time_when_nothing_answers(tmp_path: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        env = os.environ | {"REDIS_URL": url, "SMART_RAG_HOME": str(tmp_path)}
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "smart_rag_tasks", "doctor", "--seconds", "4"],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
        seconds = time.monotonic() - began
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert seconds < 4 + 5  # and the start of Python
