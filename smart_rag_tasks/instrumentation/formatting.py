"""One line an event, as text or as JSON, with the same keys. Passwords in URLs are masked whatever the message."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..errors import trace_of
from .context import KEYS, clean, current

_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):[^@/\s]+@")


_OURS = ("smart_rag_tasks", "celery")


def masked(line: str) -> str:
    """The line without the passwords of its URLs."""
    return _PASSWORD.sub(r"\1:***@", line) if "://" in line else line


def ids_of(record: logging.LogRecord) -> dict[str, str]:
    """The ids of a record: given with ``extra``, else bound, else the task that Celery says it is about."""
    data: Any = getattr(record, "data", None)
    of_celery = {"task_id": data.get("id")} if isinstance(data, Mapping) else {}
    given = {key: getattr(record, key) for key in KEYS if hasattr(record, key)}
    return {**clean(of_celery), **current(), **clean(given)}


class TextFormatter(logging.Formatter):
    """``2026-01-31 12:00:00,000 INFO ForkPoolWorker-1 name: message document_id=… run_id=…``.

    A traceback follows on indented lines: an event's own line is the only one that starts with a date.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {record.levelname} {record.processName} {record.name}: {_message(record)}"
        ids = ids_of(record)
        line += "".join(f" {key}={_word(ids[key])}" for key in KEYS if key in ids)
        trace = _traceback(self, record)
        return masked(line + "".join(f"\n    {part}" for part in trace.splitlines()))


class JsonFormatter(logging.Formatter):
    """One JSON object a line; every key is always there, null when there is nothing to say."""

    def format(self, record: logging.LogRecord) -> str:
        ids = ids_of(record)
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": record.processName,
            "logger": record.name,
            "message": masked(_message(record)),
            **{key: ids.get(key) for key in KEYS},
            "traceback": masked(_traceback(self, record)) or None,
        }
        return json.dumps(entry, ensure_ascii=False)


def formatter(kind: str) -> logging.Formatter:
    """The formatter for ``text`` or ``json``."""
    return JsonFormatter() if kind == "json" else TextFormatter()


def _message(record: logging.LogRecord) -> str:
    return record.getMessage().rstrip().replace("\r", "").replace("\n", "\\n")


def _word(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r'[\s"=]', value) else value


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """In full what others log; of what we do, an error's words only if they can hold no chunk text."""
    if record.exc_info and not record.exc_text:
        error = record.exc_info[1]
        ours = record.name.startswith(_OURS)
        record.exc_text = trace_of(error) if error and ours else formatter.formatException(record.exc_info)
    return record.exc_text or ""
