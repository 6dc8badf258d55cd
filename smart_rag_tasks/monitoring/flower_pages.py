"""What Flower shows: documents and progress in words, never a chunk's text; metrics only with credentials.

Flower 2.2 has no hooks for the last two, so `secure` wraps three of its functions; `tests/integration/test_flower.py`
would notice if a later version had them elsewhere.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

import tornado.web
from flower.api.tasks import BaseTaskHandler
from flower.events import EventsState
from flower.views import monitor as metrics_views
from flower.views import tasks as task_views

from .. import names
from ..arguments import telling

#: What the page of tasks shows, in this order.
COLUMNS = "name,args,state,result,uuid,received,runtime"

#: Runs every few seconds: Flower would soon remember nothing else. It is shown when it fails.
_QUIET = names.SWEEP
#: Ids of quiet tasks that are kept in mind: more than can be under way at once.
_QUIET_KEPT = 1000

#: Tasks whose first argument is the document, as far as their producer tells.
_DOCUMENT_FIRST = frozenset({names.PROCESS_DOCUMENT_PIPELINE, names.PREPROCESS_DOCUMENT, names.GENERATE_BATCH})

_FIRST = re.compile(r"[(\[](?P<quote>['\"])(?P<document>.{1,60}?)(?P=quote)(?:, (?P<batch>batch \d+))?[,)\]]")


def secure() -> None:
    """Put /metrics and /healthcheck behind the credentials, and keep texts out of what Flower remembers."""
    for view in (metrics_views.Metrics, metrics_views.Healthcheck):
        view.prepare = _authenticate
    task_views.TASK_COLUMNS.update(args="Document", result="Progress / result", uuid="Task id")
    BaseTaskHandler.safe_result = lambda _self, result: (
        telling(result) if isinstance(result, Mapping) else "[not shown]"
    )
    remember = EventsState.event
    if not getattr(remember, "guarded", False):

        def event(self: Any, event: dict[str, Any]) -> None:
            if is_news(event):
                remember(self, with_progress(without_text(event)))

        event.guarded = True  # type: ignore[attr-defined]
        EventsState.event = event


def _safe_result(_handler: Any, result: Any) -> Any:
    return telling(result) if isinstance(result, Mapping) else "[not shown]"


def _authenticate(handler: Any) -> None:
    if not handler.current_user:  # wrong credentials raise by themselves
        raise tornado.web.HTTPError(401)


_quiet: dict[str, None] = {}


def is_news(event: Mapping[str, Any]) -> bool:
    """Whether Flower is to remember an event: all but a sweep's that goes well."""
    task_id = event.get("uuid")
    if task_id is None:
        return True
    if event.get("name") == _QUIET:
        _quiet[task_id] = None
        if len(_quiet) > _QUIET_KEPT:
            del _quiet[next(iter(_quiet))]
    return task_id not in _quiet or event.get("type") in ("task-failed", "task-retried")


def without_text(event: dict[str, Any]) -> dict[str, Any]:
    """An event without arguments that a chunk's text may be in: a producer that is not ours tells all of them.

    From a worker they come shortened (``base_task``), so this is about ``task-sent`` alone.
    """
    if event.get("type") != "task-sent":
        return event
    kept = {key: value for key, value in event.items() if key not in ("args", "kwargs")}  # a worker will tell them
    found = _FIRST.match(event.get("args") or "") if event.get("name") in _DOCUMENT_FIRST else None
    if found:
        kept["args"] = f"({found['document']!r},{' ' + found['batch'] if found['batch'] else ''})"
    return kept


def with_progress(event: dict[str, Any]) -> dict[str, Any]:
    """An event with its progress in words, in the field that Flower shows as the result."""
    progress = event.get("progress")
    return {**event, "result": progress_in_words(progress)} if isinstance(progress, Mapping) else event


def format_task(task: Any) -> Any:
    """A task with its document and its progress or result in words."""
    task.args = _document(task.args or "")
    if task.kwargs in ("{}", None):
        task.kwargs = ""
    if task.state in ("FAILURE", "RETRY"):
        task.result = str(task.exception or "")[:120]
    elif task.name == names.GENERATE_BATCH and task.result:
        task.result = f"{task.result} chunk{'' if task.result == '1' else 's'}"
    else:
        task.result = result_in_words(task.result)
    task.name = (task.name or "").removeprefix("smart_rag_tasks.")
    return task


def _document(args: str) -> str:
    """``('d1', batch 3)`` as ``d1, batch 3``; a dict of ids as its document."""
    try:
        value = ast.literal_eval(args)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if isinstance(value, dict) and "document_id" in value:
        return str(value["document_id"])
    plain = args.removeprefix("(").removesuffix(")").removesuffix(",")
    return re.sub(r"(^|, )'([^']*)'", r"\1\2", plain)


def progress_in_words(progress: Mapping[str, Any]) -> str:
    """``generation: 1,024 of 3,000 chunks (34 %)``."""
    done, total, percent = progress.get("done", 0), progress.get("total", 0), progress.get("percent", 0)
    return f"{progress.get('stage', '')}: {done:,} of {total:,} chunks ({percent:.0f} %)"


def result_in_words(result: object) -> str:
    """A final result as ``completed: 3,000 chunks in 4.1 s, 2 failed``; other results as they are."""
    try:
        value = ast.literal_eval(result) if isinstance(result, str) else result
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = result
    if not (isinstance(value, dict) and "final_status" in value):
        return "" if value is None else str(result)
    count, failed = value.get("processed_chunks", 0), value.get("failed_chunks", 0)
    words = f"{value['final_status']}: {count:,} chunks in {value.get('seconds', 0):.1f} s"
    return words + (f", {failed:,} failed" if failed else "")
