"""The log of a real worker: JSON lines, each with the ids of what it is about, and no text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import PASSWORD, SECRET, Desk, eventually


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("logs")
    made = Desk(folder, SMART_RAG_LOG_FORMAT="json", CELERY_LOG_FILE=str(folder / "lines.log"), CELERY_LOG_LEVEL="INFO")
    try:
        made.start("worker", "celery", "-A", "smart_rag_tasks", "worker", "-c", "2")
        assert eventually(lambda: " ready." in read(made))
        yield made
    finally:
        made.close()


def read(desk: Desk) -> str:
    lines = desk.folder / "lines.log"
    return lines.read_text() if lines.exists() else ""


def entries(desk: Desk) -> list[dict[str, Any]]:
    """Every line is one JSON object."""
    return [json.loads(line) for line in read(desk).splitlines()]


def upkeep(desk: Desk) -> None:
    """A sweep, then an expiry, and the worker's line about the second."""
    desk.python("from smart_rag_tasks.maintenance import expire, sweep; sweep.delay(); expire.delay().get(timeout=20)")
    assert eventually(lambda: "maintenance.expire succeeded" in read(desk))


def test_every_line_of_a_task_has_its_ids(desk: Desk) -> None:
    run_id = desk.submit("logged.md", [f"log {number}" for number in range(40)] + ["FAIL here"])
    ended = "postprocess_results succeeded"
    assert eventually(lambda: any(ended in entry["message"] and entry["run_id"] == run_id for entry in entries(desk)))
    of_tasks = [
        entry for entry in entries(desk) if entry["message"].startswith("Task ") and "expire" not in entry["message"]
    ]
    assert len(of_tasks) > 10
    for entry in of_tasks:
        assert entry["document_id"] == "logged.md", entry
        assert entry["run_id"] == run_id, entry
        assert entry["task_id"], entry
        assert entry["batch"] or "generate_batch " not in entry["message"], entry
    assert {entry["batch"] for entry in of_tasks} >= {"0", "1", "2"}


def test_other_lines_have_none_of_the_last_task_s(desk: Desk) -> None:
    ready = next(entry for entry in entries(desk) if " ready." in entry["message"])
    assert (ready["document_id"], ready["run_id"], ready["batch"], ready["task_id"]) == (None, None, None, None)
    upkeep(desk)
    other = [entry for entry in entries(desk) if "maintenance.expire succeeded" in entry["message"]]
    assert other
    assert all(entry["document_id"] is None for entry in other)


def test_what_comes_every_few_seconds_is_no_news(desk: Desk) -> None:
    upkeep(desk)
    assert "maintenance.sweep succeeded" not in read(desk)
    assert "maintenance.sweep received" not in read(desk)


def test_no_text_no_result_and_no_secret(desk: Desk) -> None:
    desk.python(
        "from smart_rag_tasks.tasks import generate_metadata_for_chunk as generate\n"
        f"assert '{SECRET}' in str(generate.delay('c', '{SECRET}', 'single.md').get(timeout=20))\n"
    )
    assert eventually(lambda: "generate_metadata_for_chunk succeeded" in read(desk))
    text = read(desk) + Path(desk.folder / "worker.log").read_text()
    assert SECRET not in text
    assert PASSWORD not in text
    assert "processed_chunks" not in text
