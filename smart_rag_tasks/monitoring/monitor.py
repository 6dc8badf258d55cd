"""`CeleryMonitor`: what an operator or a program asks of the whole system. Every answer comes within seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from celery import Celery

from ..errors import InvalidInput
from ..models import Json
from ..names import METADATA_QUEUE, QUEUES
from ..settings import Settings, get_settings
from ..stages import control
from ..stages.environment import Environment
from . import health, lookup, workers
from .broker import QueueState, open_broker
from .checks import CHECKS, Subject
from .purging import Purged, purge


class CeleryMonitor:
    """Workers, queues, tasks, health. Methods raise BrokerUnreachable or StoreUnavailable; `health_check` does not."""

    def __init__(
        self, app: Celery | None = None, settings: Settings | None = None, *, timeout: float = workers.TIMEOUT
    ) -> None:
        self.app = app or _our_app()
        self.settings = settings or get_settings()
        #: Seconds that workers have to answer.
        self.timeout = timeout
        self._env: Environment | None = None

    @property
    def env(self) -> Environment:
        """The store with its settings, opened when it is first needed."""
        if self._env is None:
            from ..store import open_store

            self._env = Environment(self.settings, open_store(self.settings.store_url))
        return self._env

    def get_worker_stats(self) -> Json:
        """``active_workers`` (how many answer) and, by worker: tasks active, reserved, scheduled and registered,
        queues, memory, pool, and how many tasks of each kind it has taken.
        """
        asked = ("active", "reserved", "scheduled", "registered", "active_queues", "stats")
        replies = workers.ask(self.app, asked, self.timeout)
        return {
            "active_workers": len(replies["stats"]),
            "registered_tasks": {worker: sorted(tasks or ()) for worker, tasks in replies["registered"].items()},
            "active_tasks": replies["active"],
            "scheduled_tasks": replies["scheduled"],
            "reserved_tasks": replies["reserved"],
            "workers": {worker: self._worker(worker, replies) for worker in sorted(replies["stats"])},
        }

    def _worker(self, worker: str, replies: dict[str, Any]) -> Json:
        stats = replies["stats"][worker]
        return {
            "pid": stats.get("pid"),
            "uptime": stats.get("uptime"),
            "concurrency": (stats.get("pool") or {}).get("max-concurrency"),
            "queues": [queue["name"] for queue in replies["active_queues"].get(worker) or ()],
            "active": len(replies["active"].get(worker) or ()),
            "reserved": len(replies["reserved"].get(worker) or ()),
            "scheduled": len(replies["scheduled"].get(worker) or ()),
            "taken": stats.get("total") or {},
            "memory": stats.get("memory"),
        }

    def get_queue_length(self, queue_name: str = METADATA_QUEUE) -> int:
        """Messages that wait in a queue, all priorities; 0 for one that is empty. Raises InvalidInput."""
        if queue_name not in QUEUES:
            raise InvalidInput(f"{queue_name}: no such queue; there are {', '.join(QUEUES)}")
        with open_broker(self.app) as broker:
            return broker.length(queue_name)

    def get_queues(self, queue_names: Sequence[str] = QUEUES) -> list[QueueState]:
        """Length, unacknowledged messages and age of the oldest message of each queue."""
        with open_broker(self.app) as broker:
            return broker.queues(queue_names)

    def get_consumers(self) -> dict[str, list[str]]:
        """The workers that serve each queue; [] for one that nobody serves."""
        served = workers.consumers(workers.ask(self.app, ["active_queues"], self.timeout)["active_queues"])
        return {queue: sorted(served.get(queue, ())) for queue in QUEUES}

    def purge_queue(self, queue_name: str = METADATA_QUEUE) -> Purged:
        """Remove the messages of that queue only; their documents are paused, and `resume` sends them again."""
        return purge(self.app, self.env, queue_name)

    def cancel_task(self, task_id: str) -> Json:
        """Cancel a run (its id is its task's), durably; or revoke a single task that belongs to no run."""
        run = lookup.run_record(self.env, task_id)
        if run is not None:
            if run["ended"]:
                raise InvalidInput(f"{task_id}: its run has ended, it is {run['status']}")
            control.cancel(self.env, run["document_id"])
            return {"task_id": task_id, "cancelled": "run", "document_id": run["document_id"]}
        info = self.get_task_info(task_id)
        if not info["known"]:
            raise InvalidInput(f"{task_id}: no such task; it may have ended long ago")
        if info.get("run_id"):
            raise InvalidInput(f"{task_id}: is a part of run {info['run_id']}: cancel that one")
        if info["state"] in ("SUCCESS", "FAILURE", "REVOKED"):
            raise InvalidInput(f"{task_id}: has ended, its state is {info['state']}")
        self.app.control.revoke(task_id)  # workers remember it until they restart
        return {"task_id": task_id, "cancelled": "task", "document_id": None}

    def get_task_info(self, task_id: str) -> Json:
        """State, result or error of a task in plain values; ``known`` is False for an id that nothing knows of."""
        return lookup.task_info(self.app, self.env, task_id, self.timeout)

    def health_check(self, kind: str = "all", only: Sequence[str] = ()) -> Json:
        """``status``, ``active_workers``, ``worker_names`` and the ``checks``; ``kind``: all, ready or live.

        ``only`` these checks, if any are named; InvalidInput for one that there is not.
        """
        subject = Subject(self.app, self.settings, self.timeout)
        if unknown := [name for name in only if name not in CHECKS]:
            raise InvalidInput(f"there is no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")
        if only:
            checks = health.health(subject, only)
        else:
            checks = {"all": health.health, "ready": health.readiness, "live": health.liveness}[kind](subject)
        try:
            names = sorted(subject.replies["ping"]) if kind != "live" and not only else []
        except Exception:  # told by the checks already
            names = []
        return {**health.summary(checks), "active_workers": len(names), "worker_names": names}

    def snapshot(self) -> Json:
        """Queues with their consumers, as JSON."""
        served = self.get_consumers()
        return {state.name: asdict(state) | {"consumers": served[state.name]} for state in self.get_queues()}


def _our_app() -> Celery:
    from ..celery import app

    return app
