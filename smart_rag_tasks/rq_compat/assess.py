"""What a move to Celery would meet: a look at a live RQ installation and at this application. Changes nothing."""

from __future__ import annotations

import json
import math
import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.resources import files
from statistics import median
from typing import Any, Final

from ..errors import words_of
from ..models import Json
from ..names import DEFAULT, INTAKE_QUEUE, METADATA_QUEUE, QUEUES
from ..stages import routing
from ..stages.environment import Environment
from . import statements
from .celery_side import CelerySide
from .items import FOREIGN, UPKEEP, Item
from .monitor import REGISTRIES, QueueStats, RQMonitor, parse_time, text
from .rq_side import RQSide

#: Jobs looked at for durations and failures, the newest ones of each queue.
SAMPLE: Final = 200

#: Documents that a ratio should have seen before it is raised.
ENOUGH: Final = 20

#: Jobs a minute below which a single RQ worker is not busy.
QUIET: Final = 60.0


def assess(env: Environment) -> Json:
    """The report as JSON: ``rq``, ``application``, ``would_move``, ``would_stay``, ``risks``, ``ratios``, ``advice``.

    Raises BrokerUnreachable or StoreUnavailable.
    """
    rq_side, celery_side = RQSide(), CelerySide()
    rq_side.check()
    monitor = rq_side.monitor
    queues = [monitor.queue(name) for name in monitor.queue_names()]
    history = [_history(monitor, queue.name) for queue in queues]
    items = list(rq_side.items())
    installation = {
        "queues": [asdict(queue) | past for queue, past in zip(queues, history, strict=True)],
        "workers": [asdict(worker) for worker in monitor.workers()],
        "payload_bytes": _sizes(item.size for item in items),
        "without_scheduler": [
            queue.name for queue in queues if queue.scheduled and not monitor.has_scheduler(queue.name)
        ],
        "on_other_queues": _elsewhere(queues),
    }
    report: Json = {
        "rq": installation,
        "application": _application(env, celery_side),
        "would_move": dict(Counter(f"{item.task} ({item.place})" for item in items if _moves(item))),
        "would_stay": dict(Counter(f"{item.function or '?'}: {item.reason}" for item in items if item.kind == FOREIGN)),
    }
    report["risks"] = _risks(report, queues, items)
    report["ratios"] = _ratios(report)
    report["advice"] = _advice(report)
    report["measured"] = measured()
    return report


def _moves(item: Item) -> bool:
    return item.kind not in (FOREIGN, UPKEEP)


def _elsewhere(queues: Sequence[QueueStats]) -> dict[str, int]:
    """Jobs that wait on queues which are not ours: another application's, or misspelt."""
    return {queue.name: queue.queued for queue in queues if queue.name not in QUEUES and queue.queued}


def _history(monitor: RQMonitor, queue: str) -> Json:
    """Rate, durations, waits and failures of the newest jobs of a queue."""
    finished = _times(monitor, _newest(monitor, "finished", queue))
    failed = _newest(monitor, "failed", queue)
    durations = [end - start for _, start, end in finished if start and end]
    waits = [start - enqueued for enqueued, start, _ in finished if enqueued and start]
    ends = sorted(end for _, _, end in finished if end)
    span = ends[-1] - ends[0] if len(ends) > 1 else 0.0
    return {
        "jobs_a_minute": round((len(ends) - 1) / span * 60) if span else None,
        "duration_p50": _quantile(durations, 0.5),
        "duration_p95": _quantile(durations, 0.95),
        "wait_p50": _quantile(waits, 0.5),
        "failures": _failures(monitor, failed),
    }


def _newest(monitor: RQMonitor, registry: str, queue: str) -> list[str]:
    return [text(id_) for id_ in monitor.connection.zrevrange(REGISTRIES[registry].format(queue), 0, SAMPLE - 1)]


def _times(monitor: RQMonitor, ids: Iterable[str]) -> list[tuple[float, float, float]]:
    with monitor.connection.pipeline(transaction=False) as pipe:
        for id_ in ids:
            pipe.hmget(f"rq:job:{id_}", "enqueued_at", "started_at", "ended_at")
        rows = pipe.execute()
    return [tuple(parse_time(text(value)) if value else 0.0 for value in row) for row in rows]  # type: ignore[misc]


def _failures(monitor: RQMonitor, ids: Iterable[str]) -> dict[str, int]:
    """Kinds of errors and how often; an error's words may quote a chunk, so they are not shown."""
    counts: Counter[str] = Counter()
    for id_ in ids:
        results: Any = monitor.connection.xrevrange(f"rq:results:{id_}", count=1)
        for _entry, fields in results:
            counts[_error_kind(fields.get(b"exc_string", b""))] += 1
    return dict(counts.most_common(5))


def _error_kind(packed: bytes) -> str:
    try:
        last = zlib.decompress(b64decode(packed)).decode("utf-8", "replace").strip().splitlines()[-1]
    except (zlib.error, ValueError, IndexError):
        return "unknown"
    return last.partition(":")[0].rpartition(".")[2][:60] or "unknown"


def _quantile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank quantile in seconds."""
    if not values:
        return None
    return round(sorted(values)[max(0, math.ceil(share * len(values)) - 1)], 2)


def _sizes(sizes: Iterable[int]) -> Json:
    listed = sorted(sizes)
    if not listed:
        return {"jobs": 0, "median": None, "largest": None}
    return {"jobs": len(listed), "median": int(median(listed)), "largest": listed[-1]}


def _application(env: Environment, celery_side: CelerySide) -> Json:
    with env.store.read() as connection:
        counts = statements.count(connection)
        switch = routing.read_switch(connection, env.settings)
    answer: Json = {"counts": counts, "celery_ratio": switch.celery_ratio, "celery": "reachable"}
    try:
        celery_side.check()
        answer["celery_workers"] = celery_side.consumers()
        answer["messages"] = sum(1 for item in celery_side.items() if item.kind != UPKEEP)
    except Exception as error:  # the report is about RQ too: it says what it could not see
        answer |= {"celery": words_of(error), "celery_workers": {}, "messages": None}
    return answer


def _risks(report: Json, queues: Sequence[QueueStats], items: Sequence[Item]) -> list[str]:
    risks = []
    reasons = Counter(item.reason for item in items if item.reason)
    if reasons["pickled"]:
        risks.append(
            f"pickled jobs: {reasons['pickled']}; they are not moved, and a JSON worker would fail them; let their old"
            " workers finish them before `smart-rag-tasks rq worker` serves these queues"
        )
    if reasons["unknown function"]:
        risks.append(f"jobs of other functions on the same queues: {reasons['unknown function']}; they are left alone")
    if reasons["unreadable"]:
        risks.append(f"jobs that cannot be read: {reasons['unreadable']}; they are left alone")
    for name in report["rq"]["without_scheduler"]:
        risks.append(f"{name}: scheduled jobs and no scheduler: retries never run; start a worker with a scheduler")
    risks += [f"{queue.name}: scheduled jobs that are overdue: {queue.overdue}" for queue in queues if queue.overdue]
    if any(not queue.workers and queue.queued for queue in queues):
        risks.append("jobs wait on queues that no worker serves")
    risks += [
        f"{queue.name}: {queue.failed} failed jobs; they are not moved, requeue or drop them first"
        for queue in queues
        if queue.failed
    ]
    if not all(report["application"]["celery_workers"].get(name) for name in (INTAKE_QUEUE, METADATA_QUEUE, DEFAULT)):
        risks.append("no Celery worker consumes all of our queues: `migrate forward` will refuse")
    return risks


def _ratios(report: Json) -> list[Json]:
    """The sequence of ratios to go through, each with how long to look at it."""
    rates = [queue["jobs_a_minute"] for queue in report["rq"]["queues"] if queue["jobs_a_minute"]]
    steps = []
    for ratio in (0.05, 0.25, 0.5, 1.0):
        minutes = math.ceil(ENOUGH / (ratio * max(rates))) if rates else 60
        steps.append({"ratio": ratio, "look_for_minutes": min(max(minutes, 10), 1440)})
    return steps


def _advice(report: Json) -> list[str]:
    """Who should stay on RQ, and who should move, by what was seen."""
    rates = [queue["jobs_a_minute"] for queue in report["rq"]["queues"] if queue["jobs_a_minute"]]
    waiting = sum(queue["queued"] for queue in report["rq"]["queues"])
    overdue = sum(queue["overdue"] for queue in report["rq"]["queues"])
    advice = []
    if not rates:
        advice.append("RQ has no finished jobs to measure: look again when it has worked for a while")
    elif max(rates) < QUIET and not waiting and not overdue:
        advice.append(
            f"stay on RQ: at {max(rates):g} jobs a minute and no backlog it keeps up; move only for what it has not:"
            " documents that end as a whole, priorities, schedules"
        )
    else:
        advice.append(f"moving is worth it: {max(rates):g} jobs a minute, {waiting} waiting, {overdue} overdue retries")
    if report["would_stay"]:
        advice.append("keep an RQ worker for the jobs that are not ours")
    return advice


def measured() -> list[Json]:
    """The comparison's rows as `benchmarks/compare.py` measured them; [] before it has run."""
    found = files(__package__).joinpath("measured.json")
    return json.loads(found.read_text(encoding="utf-8"))["rows"] if found.is_file() else []
