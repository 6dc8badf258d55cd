"""What became of a task: from the store if it is a run, else from the result backend, the workers and the queues."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import redis
from celery import Celery

from ..arguments import telling
from ..errors import BrokerUnreachable
from ..models import TERMINAL, Json
from ..names import QUEUES
from ..stages.environment import Environment
from ..store import observed
from . import workers
from .broker import Broker, open_broker
from .purging import run_of

#: Messages of a queue that are searched for a task.
SEARCHED: Final = 20_000


def task_info(app: Celery, env: Environment, task_id: str, timeout: float = workers.TIMEOUT) -> Json:
    """State, result and error of a task as plain JSON values; ``known`` is False for an id that nothing knows of."""
    info: Json = {"task_id": task_id, "known": True, "state": "UNKNOWN", "result": None, "error": None}
    info |= {"traceback": None, "run": None, "where": None}
    run = run_record(env, task_id)
    stored = stored_result(app, task_id)
    if run is not None:
        info |= {"run": run, "where": "store", "state": _state_of(run), "error": run["error"] or None}
    if stored is not None:
        info |= _told(stored) if run is None or stored.get("status") not in ("PENDING", None) else {}
    if run is not None and run["ended"]:
        info["state"] = "SUCCESS"  # the store is the truth, also when a result was lost
    if info["state"] != "UNKNOWN":
        return info
    return info | _under_way(app, task_id, timeout)


def run_record(env: Environment, run_id: str) -> Json | None:
    """A run's numbers, None if it is none."""
    with env.store.read() as connection:
        run = observed.run_of_task(connection, run_id)
    if run is None:
        return None
    names = ("document_id", "run_id", "status", "stage", "total", "done", "failed", "unchanged", "error")
    return {name: getattr(run, name) for name in names} | {"ended": run.status in TERMINAL}


def stored_result(app: Celery, task_id: str) -> Json | None:
    """What the result backend has, read without turning errors into exceptions: also what cannot be turned into one."""
    backend: Any = app.backend
    try:
        raw = backend.get(backend.get_key_for_task(task_id)) if hasattr(backend, "get_key_for_task") else None
    except redis.RedisError as error:
        raise BrokerUnreachable(f"the result backend does not answer ({type(error).__name__})") from None
    if raw is None:
        return None
    meta = backend.decode(raw)
    return meta if isinstance(meta, dict) else None


def _told(meta: Mapping[str, Any]) -> Json:
    state, result = str(meta.get("status", "UNKNOWN")), meta.get("result")
    told: Json = {"state": state, "where": "result backend", "traceback": meta.get("traceback")}
    if state in ("FAILURE", "RETRY", "REVOKED") and isinstance(result, Mapping) and "exc_type" in result:
        message = result.get("exc_message") or ""
        words = message if isinstance(message, str) else "; ".join(str(part) for part in message)
        return told | {"error": f"{result['exc_type']}: {words}"}
    if state == "FAILURE":
        return told | {"error": "a failure that cannot be read: its task set the state itself"}
    return told | {"result": telling(result) if isinstance(result, Mapping) else result}


def _state_of(run: Json) -> str:
    return {"queued": "PENDING", "paused": "PENDING"}.get(run["status"], "SUCCESS" if run["ended"] else "PROGRESS")


def _under_way(app: Celery, task_id: str, timeout: float) -> Json:
    """A task without a result: in a worker's hands, in a queue, or unknown."""
    replies = workers.ask(app, ["query_task"], timeout, {"query_task": {"ids": [task_id]}})["query_task"]
    for worker, found in replies.items():
        if task_id in (found or {}):
            state, request = found[task_id]
            words = {"active": "STARTED", "reserved": "RECEIVED"}.get(state, str(state).upper())
            return {"state": words, "where": worker, "name": request.get("name"), "run_id": request.get("run_id")}
    with open_broker(app) as broker:
        for queue in QUEUES:
            message = find_message(broker, queue, task_id)
            if message is not None:
                name = (message.get("headers") or {}).get("task")
                return {"state": "PENDING", "where": queue, "name": name, "run_id": run_of(message)}
    return {"known": False}


def find_message(broker: Broker, queue: str, task_id: str) -> Json | None:
    """The waiting message of a task, None if it is not among the first ``SEARCHED`` of the queue."""
    if broker.client is None:
        return None
    wanted = f'"id": "{task_id}"'.encode()
    for key in broker.keys(queue).values():
        for start in range(0, SEARCHED, 500):
            page = broker.client.lrange(key, start, start + 499)
            for raw in page:
                if wanted in raw:
                    message: Json = json.loads(raw)
                    return message
            if len(page) < 500:
                break
    return None
