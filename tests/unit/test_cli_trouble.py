"""What the command line says of documents that did not get all their metadata; no broker and no worker."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from smart_rag_tasks import names
from smart_rag_tasks.cli import output, rag
from smart_rag_tasks.client import Client
from smart_rag_tasks.models import Chunk
from smart_rag_tasks.stages import control, environment
from smart_rag_tasks.stages.environment import Environment
from smart_rag_tasks.stages.ingest import Submission, admit
from smart_rag_tasks.stages.planning import plan
from smart_rag_tasks.store import runs


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """A store of the test's own; what fails is given up at once."""
    monkeypatch.setenv("SMART_RAG_STORE_URL", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.setenv("SMART_RAG_HOME", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("SMART_RAG_MAX_ATTEMPTS", "1")
    environment.reset()
    yield environment.environment()
    environment.reset()


def submitted(env: Environment, document_id: str, generator: str = "extractive") -> str:
    """The id of a new run of three chunks."""
    chunks = [Chunk(f"c{number}", f"Tea number {number} is grown on slopes.", number) for number in range(3)]
    return admit(env.store, Submission(document_id, chunks, generator, {}, engine=names.CELERY)).run_id


def said(*words: str, code: int = 0) -> str:
    """What the command prints."""
    done = CliRunner().invoke(rag, words)
    assert code == done.exit_code, done.output
    if words[0] != "doctor" and "--json" not in words:  # the doctor's lines hold commands to copy
        assert all(len(line) <= 80 for line in done.stdout.splitlines())
    return done.stdout


def test_a_document_that_failed_as_a_whole_says_why(env: Environment) -> None:
    plan(env, submitted(env, "bridges", "exractive"))
    why = "No generator is named 'exractive'"
    for words in (("status",), ("status", "bridges"), ("show", "bridges")):
        assert why in " ".join(said(*words).split())
    assert why in json.loads(said("show", "bridges", "--json"))["reason"]

    doctor = " ".join(said("doctor", "bridges", "--seconds", "2", code=1).split())
    assert "bridges has ended, failed: bridges: planning failed in each of 1 tries: InvalidSettings" in doctor
    assert "→ smart-rag-tasks regenerate bridges" in doctor
    doctor = said("doctor", "--seconds", "2", code=1)
    assert doctor.startswith("No document is under way, 1 failed: `smart-rag-tasks list --status failed`.")


def test_a_document_that_failed_as_a_whole_is_a_dead_letter_that_can_be_tried_again(env: Environment) -> None:
    broken = submitted(env, "bridges", "exractive")
    plan(env, broken)
    control.cancel(env, plan(env, submitted(env, "tea")).document_id)  # an operator's wish is none
    listed = said("dead-letters", "list")
    assert "Dead letters: 1 document." == listed.splitlines()[0]
    assert "PlanningFailed: in each of 1 tr" in listed
    (letter,) = json.loads(said("dead-letters", "list", "--json"))
    assert ("document", "bridges", broken) == (letter["source"], letter["document_id"], letter["what"])
    assert "No generator is named 'exractive'" in letter["error"]

    said("dead-letters", "retry", "--source", "document")
    run_id = Client().status("bridges")["run_id"]
    assert (True, "running") == (run_id != broken, plan(env, run_id) and Client().status("bridges")["status"])
    assert "No dead letters." == said("dead-letters", "list").strip()


def test_a_broken_document_that_is_discarded_stays_stored_and_is_told_of_no_more(env: Environment) -> None:
    plan(env, submitted(env, "bridges", "exractive"))
    (letter,) = json.loads(said("dead-letters", "list", "--json"))
    assert "1 dead letter discarded." in said("dead-letters", "discard", letter["id"])
    assert [] == json.loads(said("dead-letters", "list", "--json"))
    assert ["discarded"] * 3 == [chunk["status"] for chunk in Client().document("bridges")["chunks"]]
    assert "failed" == Client().status("bridges")["status"]


def test_a_cancelled_document_is_not_called_done(env: Environment) -> None:
    plan(env, submitted(env, "tea"))
    control.cancel(env, "tea")
    assert "cancelled by an operator" in said("status", "tea")
    assert "tea has ended, cancelled:" in said("doctor", "tea", "--seconds", "2", code=1)


def test_retry_goes_on_with_a_cancelled_document(env: Environment) -> None:
    plan(env, submitted(env, "tea"))
    said("cancel", "tea")
    assert "tries again" in said("retry", "tea")


@pytest.mark.parametrize("name", ["exractive", "nope:", "a b:c"])
def test_a_generator_that_nobody_has_is_refused_before_anything_is_taken(
    env: Environment, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(env, "tea")
    monkeypatch.setenv("SMART_RAG_GENERATOR", name)
    file = tmp_path / "tea.md"
    file.write_text("Tea is grown on slopes.", encoding="utf-8")
    for words in (("submit", str(file)), ("regenerate", "tea")):
        done = CliRunner().invoke(rag, words)
        assert (2, 1) == (done.exit_code, done.stderr.count("\n"))
        assert done.stderr.startswith(f"Error: SMART_RAG_GENERATOR: none is named {name!r}; use one of extractive,")
    assert ["tea"] == Client().document_ids()


def test_a_generator_of_the_workers_need_not_be_installed_where_documents_are_submitted(
    env: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMART_RAG_GENERATOR", "only.there:Generator")
    (tmp_path / "tea.md").write_text("Tea is grown on slopes.", encoding="utf-8")
    assert "tea.md" in said("submit", str(tmp_path / "tea.md"))


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("SMART_RAG_GENERATOR", "class It:\n    def __init__(self):\n        raise RuntimeError('the key is SECRET')"),
        ("SMART_RAG_GENERATOR", "raise RuntimeError('the key is SECRET')"),
        ("SMART_RAG_SINK", "raise RuntimeError('the key is SECRET')"),
    ],
)
def test_what_raises_when_it_is_loaded_is_one_line_that_names_the_setting(
    env: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, code: str
) -> None:
    (tmp_path / "tea.md").write_text("Tea is grown on slopes.", encoding="utf-8")
    (tmp_path / "broken_one.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_one", raising=False)
    monkeypatch.setenv(setting, "broken_one:It")
    done = CliRunner().invoke(rag, ["run", str(tmp_path)])
    assert 2 == done.exit_code
    line = len(code.splitlines())
    expected = f"Error: {setting}: 'broken_one:It' cannot be loaded (RuntimeError at broken_one.py:{line})"
    assert done.stderr.startswith(expected)
    assert 1 == done.stderr.count("\n")


def test_show_names_the_first_topics(env: Environment) -> None:
    run_id = submitted(env, "tea")
    topics = [f"topic{number}" for number in range(20)]
    with env.store.write() as connection:
        runs.set_document(connection, "tea", run_id, {"topics": topics})
    shown = " ".join(said("show", "tea").split())
    assert "topic10, topic11, … 8 more" in shown and "topic12" not in shown
    assert topics == json.loads(said("show", "tea", "--json"))["topics"]


def test_a_long_line_goes_on_below_its_detail_and_words_stay_whole() -> None:
    address = f"redis://h/{'x' * 90}"
    assert output.hanging(
        "  wrong  ", f"the broker at {address} is away {'文' * 30} {'字' * 10}"
    ).plain.splitlines() == [
        "  wrong  the broker at",
        f"         {address}",
        f"         is away {'文' * 30}",
        f"         {'字' * 10}",
    ]
