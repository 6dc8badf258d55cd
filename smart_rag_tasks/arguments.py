"""A task's arguments as people may see them, in headers, events, Flower and logs: ids and counts, never a text.

An allow-list: what is not known to be an id or a number is shown by its kind and size alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from . import names

#: Characters of an id that are shown.
SHOWN: Final = 60

#: Names of arguments, and keys of dicts in arguments, whose values may be shown.
_TELLING: Final = frozenset(
    {
        "document_id", "run_id", "chunk_id", "number", "batch", "batches", "redriven", "lane", "name", "path", "force",
        "final_status", "status", "processed_chunks", "failed_chunks", "unchanged_chunks", "seconds",
    }
)  # fmt: skip

#: The tasks' positional arguments (a test compares): a message has no names for them.
PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    names.PROCESS_DOCUMENT_PIPELINE: ("document_id", "chunks", "lane", "force"),
    names.INGEST_FILE: ("path", "lane"),
    names.PREPROCESS_DOCUMENT: ("document_id", "chunks"),
    names.GENERATE_BATCH_METADATA: ("preprocess_result",),
    names.GENERATE_BATCH: ("run_id", "number", "redriven"),
    names.POSTPROCESS_RESULTS: ("batch_result", "document_id"),
    names.GENERATE_METADATA_FOR_CHUNK: ("chunk_id", "chunk_text", "document_id"),
    names.BATCH_METADATA_GENERATION: ("chunk_data_list",),
}

#: Tasks whose results hold what was generated from a chunk's text.
_SECRET_RESULTS: Final = frozenset({names.GENERATE_METADATA_FOR_CHUNK})


def shown(task: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> dict[str, str]:
    """``argsrepr`` and ``kwargsrepr`` for a message of ``task``."""
    given = list(args or ())
    known = PARAMETERS.get(names.ALIASES.get(task, task), ())
    labels = [*known, *("" for _ in given)]
    return {
        "argsrepr": "(" + ", ".join(_brief(label, value) for label, value in zip(labels, given, strict=False)) + ")",
        "kwargsrepr": _mapping({key: value for key, value in (kwargs or {}).items() if value is not None}),
    }


def shown_message(
    task: str, headers: Mapping[str, Any], args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
) -> dict[str, str]:
    """The same for a message that came: with the document's id, when only its headers tell it."""
    words, document_id, batch = shown(task, args, kwargs), headers.get("document_id"), headers.get("batch")
    if isinstance(document_id, str) and "document_id" not in ids_in(task, args, kwargs):
        number = f" batch {batch}" if isinstance(batch, (int, str)) and str(batch).isdigit() else ""
        words["argsrepr"] = f"({_id(document_id)},{number})"
    return words


def shown_result(task: str, result: object) -> object:
    """A result, as Celery represents it, if it may be shown: of our tasks, when no chunk's text went into it."""
    name = names.ALIASES.get(task, task)
    return result if name in names.TASK_QUEUES and name not in _SECRET_RESULTS else "[not shown]"


def telling(result: Mapping[str, Any]) -> dict[str, Any]:
    """Of a result that is a dict, what may be shown."""
    return {key: value for key, value in result.items() if key in _TELLING}


def ids_in(task: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> dict[str, object]:
    """``document_id``, ``run_id`` and ``batch`` as far as a task's arguments tell them."""
    known = PARAMETERS.get(names.ALIASES.get(task, task), ())
    named: dict[str, Any] = {**dict(zip(known, args or (), strict=False)), **(kwargs or {})}
    for inner in ("preprocess_result", "batch_result"):
        if isinstance(named.get(inner), Mapping):
            named = {**named[inner], **{key: value for key, value in named.items() if value is not None}}
    if "number" in named:
        named["batch"] = named["number"]
    return {key: named[key] for key in ("document_id", "run_id", "batch") if named.get(key) is not None}


def _brief(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, (list, tuple)):
        return f"[{len(value)} items]"
    if isinstance(value, str):
        return _id(value) if name in _TELLING else f"[{len(value)} characters]"
    return repr(value) if isinstance(value, (int, float, bool, type(None))) else f"[{type(value).__name__}]"


def _mapping(value: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key!r}: {_brief(key, item)}" for key, item in value.items() if key in _TELLING) + "}"


def _id(value: str) -> str:
    return repr(value if len(value) <= SHOWN else value[: SHOWN - 1] + "…")
