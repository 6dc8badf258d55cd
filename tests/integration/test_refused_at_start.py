"""A worker or beat whose settings would break a guarantee does not start: one line, exit code 2, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

OURS = "from smart_rag_tasks.celeryconfig import *\n"


def start(tmp_path: Path, *words: str, config: str = "", **settings: str) -> tuple[int, list[str]]:
    """Start it where no Redis answers; exit code, and the lines on stderr that are ours."""
    env = os.environ | {"SMART_RAG_HOME": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:1/0", "C_FORCE_ROOT": "1"}
    if config:
        (tmp_path / "own_config.py").write_text(config)
        env |= {"CELERY_CONFIG_MODULE": "own_config", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "celery", "-A", "smart_rag_tasks", *words],
        env=env | settings,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=tmp_path,
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done.returncode, [line for line in done.stderr.splitlines() if line.startswith("Error: ")]


@pytest.mark.parametrize(
    ("words", "config", "reason"),
    [
        (["worker", "-P", "solo"], "", "worker_pool is solo"),
        (["worker", "--time-limit", "400"], "", "task_time_limit (400 s) is not below the visibility_timeout (300 s)"),
        (["worker"], OURS + "accept_content = ['json', 'pickle']", "accept_content takes pickle"),
        (["worker"], "broker_url = 'memory://'", "broker_url is memory"),
        (["beat"], OURS + "task_acks_late = False", "task_acks_late is off"),
        (["beat", "-S", "celery.beat:PersistentScheduler"], "", "beat_scheduler is not"),
    ],
)
def test_refused(tmp_path: Path, words: list[str], config: str, reason: str) -> None:
    code, lines = start(tmp_path, *words, config=config)
    assert code == 2
    assert len(lines) == 1
    assert reason in lines[0]


def test_a_wrong_variable_is_one_line_too(tmp_path: Path) -> None:
    code, lines = start(tmp_path, "worker", SMART_RAG_TIME_LIMIT="400")
    assert code == 2
    assert len(lines) == 1
    assert "SMART_RAG_TIME_LIMIT must be below SMART_RAG_VISIBILITY_TIMEOUT" in lines[0]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SMART_RAG_SINK", "nomodule:x", "No module named 'nomodule'"),
        ("SMART_RAG_SINK", "plain", "use module:attribute"),
        ("SMART_RAG_SINK", "pathlib:Path", "has no method upsert()"),
        ("SMART_RAG_GENERATOR", "nosuch", "use one of extractive, openai"),
        ("CELERY_LOG_FILE", "/proc/nodir/x.log", "cannot be written (No such file or directory)"),
    ],
)
def test_a_worker_without_its_sink_generator_or_log(tmp_path: Path, name: str, value: str, reason: str) -> None:
    code, lines = start(tmp_path, "worker", **{name: value})
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"Error: {name}: ")
    assert reason in lines[0]


def test_other_applications_of_the_process_are_left_alone(tmp_path: Path) -> None:
    """A host application that only submits to us may run its own workers as it likes."""
    script = (
        "from celery import Celery; import smart_rag_tasks; smart_rag_tasks.app.finalize()\n"
        "own = Celery('host', broker='memory://')\n"
        "from celery.worker import WorkController\n"
        "WorkController(app=own, pool_cls='solo')\n"
        "print('made')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, cwd=tmp_path)
    assert done.stdout.strip() == "made", done.stderr


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    code, lines = start(tmp_path, "worker", CELERY_CONFIG_MODULE="nope")
    assert code == 2
    assert lines == ["Error: CELERY_CONFIG_MODULE: there is no module 'nope'; name one that can be imported"]
