"""docs/reference/tasks.md and docs/design.md say of tasks, queues, retries and floors what the code says."""

from __future__ import annotations

import dataclasses
import inspect
import re
import tomllib

from celery import Task
from prose import ROOT, blocks, table

from smart_rag_tasks import app, names
from smart_rag_tasks.models import TERMINAL, FinalResult
from smart_rag_tasks.reliability.retry import POLICIES

TEXT = (ROOT / "docs/reference/tasks.md").read_text(encoding="utf-8")


def test_every_task_with_its_other_names_and_its_queue() -> None:
    shown = {task: (re.findall(r"\w+", others), queue) for task, others, queue in table(TEXT, "## All tasks")}
    assert {
        task: ([alias for alias, meant in names.ALIASES.items() if meant == task], queue)
        for task, queue in names.TASK_QUEUES.items()
    } == shown


def test_the_queues_in_their_order() -> None:
    assert list(names.QUEUES) == [queue for queue, _ in table(TEXT, "## Queues")]


def test_retry_policies() -> None:
    shown = {kind: tuple(map(float, numbers)) for kind, *numbers in table(TEXT, "## Retries")}
    assert {kind: dataclasses.astuple(policy) for kind, policy in POLICIES.items()} == shown


def test_the_final_dict_and_its_statuses() -> None:
    section = TEXT.partition("\n## The final dict\n")[2].partition("\n## ")[0]
    keys = [key for row in table(TEXT, "## The final dict") for key in re.findall(r"\w+", row[0])]
    assert [field.name for field in dataclasses.fields(FinalResult)] == keys
    assert {status.value for status in TERMINAL} <= set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_signatures() -> None:
    """Parameters by name and default, as somebody who calls the task sees them."""
    app.loader.import_default_modules()
    ours = TEXT.partition("\n## What differs ")[0]
    shown = dict(re.findall(r"(?:^|`)(\w+)\(([\w=\"*, ]*)\)(?:`|$)", ours, re.MULTILINE))
    assert {"process_document_pipeline", "postprocess_results", "ingest_file"} <= set(shown)
    for name, parameters in shown.items():
        task: Task[..., object] = app.tasks[f"smart_rag_tasks.{name}"]
        assert spelt(task) == parameters, name


def spelt(task: Task[..., object]) -> str:
    """``document_id, chunks=None``; the run's id of the entry task is ours alone and not told."""
    words: list[str] = []
    for parameter in inspect.signature(task.run).parameters.values():
        if task.name == names.PROCESS_DOCUMENT_PIPELINE and parameter.name == "run_id":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        default = parameter.default
        shown = f'"{default}"' if isinstance(default, str) else repr(default)
        words.append(parameter.name if default is parameter.empty else f"{parameter.name}={shown}")
    return ", ".join(words)


def test_the_floors_of_the_design_are_the_contract_that_is_checked() -> None:
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    assert "\n".join(layers) + "\n" in [block.text for block in blocks(text, "text")]


def test_the_modules_that_the_design_names_exist() -> None:
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)*\w+(?:\.py|/))`", text))
    assert len(named) > 20
    assert not [name for name in named if not ((ROOT / "smart_rag_tasks" / name).exists() or (ROOT / name).exists())]


def test_every_package_that_is_needed_stands_among_the_decisions() -> None:
    text = (ROOT / "docs/decisions.md").read_text(encoding="utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {re.split(r"[\[<>=;]", line)[0] for line in settings["project"]["dependencies"]}
    shown = {name for row in table(text, "## Dependencies") for name in row[0].split(", ")}
    assert needed == shown
