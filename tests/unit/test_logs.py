"""Log lines: one an event, the same keys as text and as JSON, no chunk text, no secret."""

from __future__ import annotations

import inspect
import json
import logging
import sys
from pathlib import Path

import pytest

from smart_rag_tasks import names
from smart_rag_tasks.arguments import PARAMETERS, ids_in, shown, shown_message, shown_result
from smart_rag_tasks.instrumentation import context, logs
from smart_rag_tasks.instrumentation.formatting import JsonFormatter, TextFormatter
from smart_rag_tasks.settings import load

TEXT = "王小明 has a secret illness"


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("smart_rag_tasks.x", logging.INFO, __file__, 1, message, args, None)
    made.__dict__.update(extra)
    return made


def test_bound_ids_stand_on_the_line_in_order() -> None:
    with context.bound({"task_id": "t1", "document_id": "d 1", "batch": 3, "other": "no"}):
        line = TextFormatter().format(record("done %d", 5))
    assert line.endswith(' INFO MainProcess smart_rag_tasks.x: done 5 document_id="d 1" batch=3 task_id=t1')
    assert "document_id" not in TextFormatter().format(record("done"))


def test_json_has_every_key_always() -> None:
    with context.bound({"run_id": "r1"}):
        entry = json.loads(JsonFormatter().format(record("a\nb")))
    assert entry["message"] == "a\\nb"
    assert [entry[key] for key in context.KEYS] == [None, "r1", None, None]


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_an_event_is_one_line_and_its_traceback_is_told_apart(formatter: logging.Formatter) -> None:
    made = record("broke")
    try:
        raise ValueError("why")
    except ValueError as error:
        made.exc_info = (ValueError, error, error.__traceback__)
    first, *rest = formatter.format(made).splitlines()
    assert "broke" in first
    assert all(line.startswith("    ") for line in rest)
    assert "ValueError at test_logs.py" in (rest[-1] if rest else first)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_the_words_of_somebody_else_s_error_are_not_logged_by_us(formatter: logging.Formatter) -> None:
    words = "cannot read: the turtle swims to Vienna"
    try:
        raise ValueError(words)
    except ValueError:
        caught = sys.exc_info()
    ours = logging.LogRecord("smart_rag_tasks.stages", logging.ERROR, "", 0, "failed", None, caught)
    theirs = logging.LogRecord("their.generator", logging.ERROR, "", 0, "failed", None, caught)
    assert "turtle" not in formatter.format(ours)
    assert "ValueError at test_logs.py" in formatter.format(ours)
    assert "turtle" in formatter.format(theirs)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_passwords_in_urls_are_masked(formatter: logging.Formatter) -> None:
    line = formatter.format(record("cannot reach %s", "rediss://user:s3cret@host:6379/0"))
    assert "s3cret" not in line
    assert "rediss://user:***@host:6379/0" in line


def test_ids_from_a_foreign_message_are_harmless() -> None:
    ids = context.clean({"document_id": "a\nb" * 500, "run_id": ["x"], "batch": {"a": 1}, "task_id": "t"})
    assert set(ids) == {"document_id", "task_id"}
    assert "\n" not in ids["document_id"]
    assert len(ids["document_id"]) == context.LONGEST


def test_celery_s_own_lines_name_their_task() -> None:
    assert TextFormatter().format(record("received", data={"id": "t9"})).endswith("received task_id=t9")


@pytest.mark.parametrize(
    ("task", "args", "kwargs"),
    [
        (names.PROCESS_DOCUMENT_PIPELINE, ["d1", [{"chunk_id": "c", "text": TEXT}]], {}),
        (names.PROCESS_DOCUMENT_PIPELINE, ["d1"], {"chunks": [{"text": TEXT}]}),
        (names.GENERATE_METADATA_FOR_CHUNK, ["c1", TEXT, "d1"], {}),
        (names.GENERATE_METADATA_FOR_CHUNK, [], {"chunk_id": "c1", "chunk_text": TEXT, "document_id": "d1"}),
        ("generate_metadata_for_chunk", ["c1", "短文", "d1"], {}),
        (names.BATCH_METADATA_GENERATION, [[{"text": TEXT, "document_id": "d1"}]], {}),
        ("an.application.task", [TEXT, {"text": TEXT}], {"text": TEXT, "name": "d1"}),
    ],
)
def test_arguments_never_show_a_text(task: str, args: list[object], kwargs: dict[str, object]) -> None:
    words = shown(task, args, kwargs)
    together = words["argsrepr"] + words["kwargsrepr"]
    assert TEXT not in together
    assert "王" not in together
    assert "短" not in together
    assert "d1" in together or task in (names.BATCH_METADATA_GENERATION,)


def test_ids_and_numbers_are_shown() -> None:
    assert shown(names.GENERATE_BATCH, ["r1", 3], {})["argsrepr"] == "('r1', 3)"
    assert shown_message(names.GENERATE_BATCH, {"document_id": "d1", "batch": 3}, ["r1", 3], {})["argsrepr"] == (
        "('d1', batch 3)"
    )
    assert shown(names.PROCESS_DOCUMENT_PIPELINE, ["d" * 500], {})["argsrepr"] == f"('{'d' * 59}…')"


def test_a_result_that_may_hold_text_is_not_shown() -> None:
    assert shown_result(names.POSTPROCESS_RESULTS, "{'processed_chunks': 3}") == "{'processed_chunks': 3}"
    assert shown_result("generate_metadata_with_retry", repr({"summary": TEXT})) == "[not shown]"
    assert shown_result("an.application.task", TEXT) == "[not shown]"


def test_ids_are_found_in_arguments() -> None:
    before = {"document_id": "d1", "run_id": "r1", "batches": 4}
    assert ids_in(names.GENERATE_BATCH_METADATA, [before], {}) == {"document_id": "d1", "run_id": "r1"}
    assert ids_in(names.GENERATE_BATCH, ["r1", 0], {}) == {"run_id": "r1", "batch": 0}
    assert ids_in("foreign", ["r1"], None) == {}


def test_the_table_of_parameters_is_the_tasks_own() -> None:
    from smart_rag_tasks.tasks import app

    for task, known in PARAMETERS.items():
        given = [
            parameter.name
            for parameter in inspect.signature(app.tasks[task].run).parameters.values()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self"
        ]
        assert list(known) == given, task


@pytest.mark.parametrize(("given", "level"), [("20", "INFO"), ("", "INFO"), ("debug", "DEBUG")])
def test_the_level_that_celery_writes_into_the_environment_is_understood(
    monkeypatch: pytest.MonkeyPatch, given: str, level: str
) -> None:
    monkeypatch.setenv("CELERY_LOG_LEVEL", given)
    assert load().log_level == level


def test_a_log_files_folder_is_made(tmp_path: Path) -> None:
    logs.handler_for(str(tmp_path / "logs/worker.log")).close()
    assert (tmp_path / "logs/worker.log").exists()
