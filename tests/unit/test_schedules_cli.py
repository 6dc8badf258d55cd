"""``schedule`` and ``watch`` as a person types them; no Redis answers, and none is needed to change the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from smart_rag_tasks.cli import rag
from smart_rag_tasks.stages import environment


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A store of the test's own."""
    monkeypatch.setenv("SMART_RAG_STORE_URL", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.setenv("SMART_RAG_HOME", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    environment.reset()
    environment.environment()
    yield
    environment.reset()


def run(*words: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    done = CliRunner().invoke(rag, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def listed() -> dict[str, Any]:
    code, out, _ = run("schedule", "list", "--json")
    assert code == 0
    return {item["name"]: item for item in json.loads(out)["entries"]}


def test_an_entry_through_its_life() -> None:
    assert run("schedule", "add", "nightly", "--task", "expire", "--cron", "30 4 * * *")[0] == 0
    assert listed()["nightly"]["task"] == "smart_rag_tasks.maintenance.expire"
    assert run("schedule", "add", "nightly", "--every", "2h")[1] == "nightly is changed: every 2h.\n"
    assert run("schedule", "pause", "nightly")[0] == 0
    assert not listed()["nightly"]["enabled"]
    assert run("schedule", "resume", "nightly")[0] == 0
    assert run("schedule", "remove", "nightly")[0] == 0
    assert "nightly" not in listed()


def test_the_table_fits_eighty_columns() -> None:
    code, out, _ = run("schedule", "list")
    assert code == 0
    assert "No beat is known" in out
    assert all(len(line) <= 80 for line in out.splitlines()[1:])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["add", "x", "--every", "5", "--task", "expire"], "use a number with s, m, h or d"),
        (["add", "x", "--cron", "0 0 30 2 *", "--task", "expire"], "never occurs"),
        (["add", "x", "--task", "expire"], "say when"),
        (["add", "x", "--every", "5m"], "--task"),
        (["add", "x", "--every", "5m", "--task", "nothing"], "no worker knows a task of that name"),
        (["add", "x", "--every", "5m", "--task", "rescan"], "takes other arguments"),
        (["add", "x", "--every", "5m", "--task", "expire", "--kwargs", "[1]"], "must be a JSON object"),
        (["remove", "sweep"], "is built in"),
        (["run-now", "nope"], "no such entry"),
    ],
)
def test_wrong_ones_are_refused_in_one_line(words: list[str], reason: str) -> None:
    code, out, err = run("schedule", *words)
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == 1
    assert reason in err


def test_a_folder_is_watched(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    assert run("watch", "add", str(folder), "--every", "10m")[0] == 0
    [found] = json.loads(run("watch", "list", "--json")[1])
    assert (found["folder"], found["every"], found["files"]) == (str(folder), 600.0, 0)
    assert f"rescan:{folder}" in listed()
    assert run("watch", "remove", str(folder))[0] == 0
    code, _, err = run("watch", "remove", str(folder))
    assert (code, "is not watched" in err) == (2, True)
