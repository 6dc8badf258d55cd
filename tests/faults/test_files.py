"""A file that kills whoever reads it ends truthfully, and the others are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ground import QUICK
from stack import TESTS, Stack, wait_until

from smart_rag_tasks import names
from smart_rag_tasks.client import Client
from smart_rag_tasks.stages import files
from smart_rag_tasks.stages.environment import environment
from smart_rag_tasks.store import facts


def test_it_is_refused_after_three_deaths(new_stack: Callable[..., Stack], tmp_path: Path) -> None:
    (tmp_path / "deadly.txt").write_text("Whoever reads this is killed.")
    (tmp_path / "tea.txt").write_text("Tea is made of leaves.")
    deaths = tmp_path / "deaths"
    stack = new_stack(**QUICK.settings, SMART_RAG_ALLOWED_ROOTS=str(tmp_path))
    stack.ledger_generator()
    stack.configure(PYTHONPATH=os.pathsep.join((str(TESTS), str(TESTS / "faults"))))
    stack.start_worker("-I", "misbehaving", name="worker", DEADLY_FILE="deadly.txt", DEATHS=str(deaths))
    from smart_rag_tasks.celery import app

    for name in ("deadly.txt", "tea.txt"):
        app.send_task(names.INGEST_FILE, args=[str(tmp_path / name)])

    log = stack.home / "worker.log"
    wait_until(lambda: "3 processes died while they read it" in log.read_text(), timeout=60, what="the refusal")
    client = Client()
    wait_until(lambda: [each["status"] for each in client.statuses()] == ["completed"], what="the other file")
    assert 3 == len(deaths.read_text().splitlines())
    with environment().store.read() as connection:
        assert {} == facts.starting_with(connection, files.INGEST_DEATHS)
