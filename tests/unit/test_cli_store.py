"""A ``--store`` that is not there: what looks at one, or acts on what is in it, makes none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from smart_rag_tasks.cli import rag
from smart_rag_tasks.stages import environment


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder; Redis is away."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("SMART_RAG_STORE_URL", "")  # the commands set it
    environment.reset()
    yield tmp_path
    environment.reset()


def entries(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*")]


@pytest.mark.parametrize(
    "words",
    [
        "status", "list", "show x", "export", "export x",
        "delete x --yes", "cancel x", "pause x", "resume x", "retry x", "regenerate x",
        "dead-letters list", "dead-letters show x", "dead-letters retry --all", "dead-letters discard --all",
        "schedule list", "schedule pause x", "schedule resume x", "schedule remove x", "schedule run-now x",
        "watch list", "watch remove x",
        "monitor task x", "monitor cancel x", "monitor purge default --yes",
        "migrate assess", "migrate forward --dry-run", "migrate rollback", "migrate ratio 1", "migrate status",
    ],
)  # fmt: skip
@pytest.mark.parametrize("store", ["shop/stroe.db", "sqlite:///shop/stroe.db", "sqlite+pysqlite:///shop/stroe.db?x=1"])
def test_it_is_refused_in_one_line(folder: Path, words: str, store: str) -> None:
    done = CliRunner().invoke(rag, [*words.split(), "--store", store])
    assert 2 == done.exit_code
    assert "stroe.db: no such file; `run`, `submit` and workers make one\n" in done.stderr
    assert done.stderr.startswith("Error: SMART_RAG_STORE_URL: ")
    assert 1 == done.stderr.count("\n")
    assert [] == entries(folder)


def test_doctor_has_a_finding_and_the_command_that_makes_one(folder: Path) -> None:
    done = CliRunner().invoke(rag, ["doctor", "--json", "--seconds", "3", "--store", "shop/stroe.db"])
    assert 1 == done.exit_code
    report = json.loads(done.stdout)
    (finding,) = (item for item in report["system"] if item["name"] == "store")
    assert ("wrong", "smart-rag-tasks up") == (finding["state"], finding["command"])
    assert f"there is no store at {folder}/shop/stroe.db" in finding["detail"]
    assert finding["detail"] == report["blind"]
    assert [] == entries(folder)


@pytest.mark.parametrize("words", ["monitor health --only store", "top --once"])
def test_others_that_look_make_none(folder: Path, words: str) -> None:
    CliRunner().invoke(rag, [*words.split(), "--store", "shop/stroe.db"])
    assert [] == entries(folder)


@pytest.mark.parametrize("words", ["watch add docs", "schedule add night --task expire --every 1d"])
def test_what_adds_something_may_be_the_first(folder: Path, words: str) -> None:
    (folder / "docs").mkdir()
    done = CliRunner().invoke(rag, [*words.split(), "--store", "new.db"])
    assert 0 == done.exit_code, done.output
    assert "new.db" in entries(folder)


@pytest.mark.parametrize(("words", "said"), [("status", "none yet"), ("list", "No documents yet.")])
def test_before_the_first_run_a_fresh_folder_has_no_documents(words: str, said: str) -> None:
    done = CliRunner().invoke(rag, [words])
    assert (0, True) == (done.exit_code, said in done.stdout)
