"""The audit after a chaos run: store, broker, ledger, results, processes, by counting."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import observer
import psutil
from chaos_field import Field, Submitted
from sqlalchemy import text
from stack import wait_until

from smart_rag_tasks.dead_list import count as count_dead
from smart_rag_tasks.models import TERMINAL, Json
from smart_rag_tasks.names import QUEUES

#: Keys that may live without expiry, by prefix, and why.
ALLOWED = {
    "_kombu.binding": "which queue is bound where: one a queue, made again at each start",
    "smart_rag_tasks:redbeat:": "schedules: one an entry of the table, plus their index",
}


@dataclass(slots=True)
class Audit:
    """What there was, and what was wrong: every number of the second part must be 0."""

    seed: int
    minutes: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    documents: int = 0
    chunks: int = 0
    #: Documents by final status, chunks by state.
    ended: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    #: Calls of the generator; of these, again for work that a dying process had not written.
    calls: int = 0
    repeats: int = 0
    put_aside: int = 0
    #: Results in Redis; those of runs that ended before Redis lost everything are gone with it.
    results: int = 0
    results_flushed: int = 0
    keys: int = 0
    keys_allowed: dict[str, int] = field(default_factory=dict)

    documents_lost: list[str] = field(default_factory=list)
    documents_open: list[str] = field(default_factory=list)
    documents_wrong: list[str] = field(default_factory=list)
    doubles: int = 0
    results_missing: list[str] = field(default_factory=list)
    results_wrong: list[str] = field(default_factory=list)
    outbox: int = 0
    messages_left: int = 0
    keys_without_expiry: list[str] = field(default_factory=list)
    ended_by_themselves: int = 0
    processes_left: list[str] = field(default_factory=list)

    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        lists = (self.documents_lost, self.documents_open, self.documents_wrong, self.results_missing)
        more = (self.results_wrong, self.keys_without_expiry, self.processes_left)
        return not any((*lists, *more, self.doubles, self.outbox, self.messages_left, self.ended_by_themselves))


def audit(field: Field) -> Audit:
    """Count, while the stack still runs."""
    found = Audit(field.seed, faults=dict(field.faults))
    found.ended_by_themselves = sum(number for name, number in field.faults.items() if name.isupper())
    found.documents, found.chunks = len(field.documents), sum(each.chunks for each in field.documents.values())
    _of_store(field, found)
    _of_results(field, found)
    _of_broker(field, found)
    return found


def _of_store(field: Field, found: Audit) -> None:
    store = field.client.env.store
    counts = observer.count(store, field.stack.ledger)
    found.states, found.calls = counts.states, counts.calls
    found.doubles, found.repeats = counts.doubles, counts.repeats
    statuses = {row["document_id"]: row for row in field.client.statuses()}
    found.ended = dict(Counter(row["status"] for row in statuses.values()))
    for document_id, given in field.documents.items():
        row = statuses.get(document_id)
        if row is None:
            found.documents_lost.append(document_id)
        elif row["status"] not in TERMINAL:
            found.documents_open.append(document_id)
        elif problem := _problem(field, row, given):
            found.documents_wrong.append(f"{document_id}: {problem}")

    def waiting() -> int:
        with store.read() as connection:
            return int(connection.execute(text("SELECT count(*) FROM outbox")).scalar_one())

    try:
        wait_until(lambda: waiting() == 0, timeout=60)
    except AssertionError:
        found.outbox = waiting()


def _problem(field: Field, row: Json, given: Submitted) -> str:
    """What is wrong with a document that has ended, "" if nothing is."""
    if row["run_id"] != given.run_id:
        return f"run {row['run_id']} instead of {given.run_id}"
    if given.cancelled and row["status"] == "cancelled":
        return ""
    chunks = field.client.document(row["document_id"])["chunks"]
    failed = sum(chunk["status"] in ("failed", "quarantined") for chunk in chunks)
    done = sum(chunk["status"] == "done" and chunk["metadata"] is not None for chunk in chunks)
    if (done, failed) != (given.chunks - given.poisoned, given.poisoned):
        return f"{done} done and {failed} failed of {given.chunks}, {given.poisoned} poisoned ({row['status']})"
    return ""


def _of_results(field: Field, found: Audit) -> None:
    from smart_rag_tasks import app

    with field.client.env.store.read() as connection:
        query = text("SELECT run_id, document_id, status, finished_at FROM runs")
        rows: list[Any] = list(connection.execute(query))
    for row in rows:
        meta = app.backend.get_task_meta(row.run_id, cache=False)
        if meta["status"] == "SUCCESS" and meta["result"]["final_status"] == row.status:
            found.results += 1
        elif meta["status"] == "SUCCESS":
            found.results_wrong.append(f"{row.document_id}: {meta['result']['final_status']} instead of {row.status}")
        elif row.finished_at < field.flushed_at + 1:
            found.results_flushed += 1
        else:
            found.results_missing.append(f"{row.document_id}: {meta['status']} instead of {row.status}")


def _of_broker(field: Field, found: Audit) -> None:
    found.put_aside = count_dead(field.redis)
    found.messages_left = sum(int(field.redis.llen(queue)) for queue in QUEUES) + int(field.redis.hlen("unacked"))
    allowed: Counter[str] = Counter()
    for raw in field.redis.scan_iter(count=1000):
        key = raw.decode()
        found.keys += 1
        if field.redis.ttl(key) != -1:
            continue
        prefix = next((prefix for prefix in ALLOWED if key.startswith(prefix)), None)
        if prefix is None and key not in (*QUEUES, "unacked", "unacked_index"):
            found.keys_without_expiry.append(key)
        elif prefix is not None:
            allowed[prefix] += 1
    found.keys_allowed = dict(allowed)


def processes_left(home: Path) -> list[str]:
    """Processes of the run that outlived it."""
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SMART_RAG_HOME") == str(home) and process.pid != psutil.Process().pid:
                left.append(" ".join(process.cmdline())[:200])
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return left
