"""The field of a chaos run: a stack with two workers and a beat, documents that keep coming, and the faults."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import observer
import psutil
import redis
from malformed_messages import MALFORMED
from of_messages import NINE
from proxy import FaultProxy, brpop_reply
from stack import TESTS, Stack, wait_until

from smart_rag_tasks.client import Client
from smart_rag_tasks.errors import InvalidInput, SmartRagError, StoreUnavailable
from smart_rag_tasks.models import TERMINAL, Json
from smart_rag_tasks.names import METADATA_QUEUE, QUEUES

#: Workers, of two processes each.
WORKERS = 2

#: Seconds of work a chunk; and what it is said to cost, so that batches hold several.
SECONDS, SAID_COST = 0.05, 0.01

#: Chunks submitted a second: about half of what the workers can do in peace.
CHUNKS_A_SECOND = 25.0

#: No more is submitted while so many documents are open.
MOST_OPEN = 60

#: Hard and soft time limit: a hanging chunk is settled after three of them.
LIMITS = {"SMART_RAG_TIME_LIMIT": "12", "SMART_RAG_SOFT_TIME_LIMIT": "9"}

#: Words in a chunk's text, how they end, and how often they come, of 1,000 chunks.
POISONS = {"raise:always": ("failed", 2), "kill": ("quarantined", 1), "exit": ("quarantined", 1)}
MEDICINES = {"transient:1": 3, "raise:1": 2}


@dataclass(slots=True)
class Submitted:
    """A document as it was handed over."""

    run_id: str
    chunks: int
    #: Of which end as ``failed`` or ``quarantined``.
    poisoned: int
    cancelled: bool = False


@dataclass(slots=True)
class Field:
    """Use as a context manager; `calm` ends the faults and waits for the documents."""

    home: Path
    seed: int
    documents: dict[str, Submitted] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    malformed: int = 0
    #: Epoch seconds of the last loss of everything in Redis.
    flushed_at: float = 0.0
    stack: Stack = field(init=False)
    proxy: FaultProxy = field(init=False)
    redis: redis.Redis = field(init=False)
    client: Client = field(init=False)
    beat: subprocess.Popen[bytes] | None = None
    _producer: threading.Thread = field(init=False)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Field:
        self.stack = Stack(self.home, **LIMITS, SMART_RAG_SOFT_SHUTDOWN="10")
        self.stack.configure(PYTHONPATH=os.pathsep.join((str(TESTS), str(TESTS / "faults"))))
        self.stack.ledger_generator(seconds=SECONDS, seconds_per_chunk=SAID_COST)
        self.stack.__enter__()
        self.proxy = FaultProxy(self.stack.redis.port).__enter__()
        self.redis = redis.Redis.from_url(self.stack.redis.url)
        self.client = Client()
        observer.observe(self.client.env.store)
        for number in range(WORKERS):
            self.start_worker(f"worker{number}")
        self.start_beat()
        self._producer = threading.Thread(target=self._produce, name="producer")
        self._producer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._producer.join()
        if self.beat is not None:
            self.beat.terminate()
            self.beat.wait(20)
        if not self.stack.redis.alive():
            self.stack.redis.start()
        self.stack.__exit__()
        self.proxy.__exit__()

    # -- processes

    def start_worker(self, name: str) -> None:
        """A worker that reaches Redis through the proxy."""
        worker = self.stack.start_worker(name=name, wait=False, REDIS_URL=self.proxy.url)
        worker.chaos_name = name  # type: ignore[attr-defined]  # for its successor

    def replace_worker(self, worker: Any) -> None:
        """After its end."""
        worker.wait(40)
        if worker in self.stack.workers:
            self.stack.workers.remove(worker)
        self.start_worker(worker.chaos_name)

    def start_beat(self) -> None:
        """A beat that reaches Redis through the proxy."""
        env = os.environ | self.stack.env | {"REDIS_URL": self.proxy.url}
        with (self.home / "beat.log").open("ab") as output:
            command = [sys.executable, "-m", "celery", "-A", "smart_rag_tasks", "beat", "-l", "INFO"]
            self.beat = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT, cwd=self.home)

    def keep_alive(self) -> None:
        """What nobody killed on purpose must not have ended; it is counted as a fault of ours if it did."""
        for worker in list(self.stack.workers):
            if worker.poll() is not None:
                self.faults["WORKER ENDED BY ITSELF"] += 1
                self.replace_worker(worker)
        if self.beat is not None and self.beat.poll() is not None:
            self.faults["BEAT ENDED BY ITSELF"] += 1
            self.start_beat()

    # -- documents

    def _produce(self) -> None:
        dice = random.Random(f"documents {self.seed}")
        number = 0
        while not self._stop.is_set():
            chunks, poisoned = self._make(dice, f"document-{number}")
            lane = "interactive" if dice.random() < 0.2 else "bulk"
            twice = dice.random() < 0.05
            self._submit(f"document-{number}", chunks, poisoned, lane, twice)
            number += 1
            self._stop.wait(len(chunks) / CHUNKS_A_SECOND)
            while self._open_documents() > MOST_OPEN and not self._stop.wait(0.5):
                pass

    def _make(self, dice: random.Random, document_id: str) -> tuple[list[Json], int]:
        size = dice.choice((1, 2, 3, 5, 8, 12, 20, 40)) if dice.random() < 0.97 else dice.randint(100, 400)
        chunks, poisoned = [], 0
        for number in range(size):
            word, roll = "", dice.random() * 1000
            for given, often in (*((word, often) for word, (_, often) in POISONS.items()), *MEDICINES.items()):
                roll -= often
                if roll < 0:
                    word = given
                    break
            poisoned += word in POISONS
            chunks.append({"chunk_id": f"c{number}", "text": f"{document_id} {number} {word}"})
        return chunks, poisoned

    def _open_documents(self) -> int:
        """How many have not ended; -1 while the store does not answer."""
        try:
            counts = self.client.counts()
        except SmartRagError:
            return -1
        return sum(number for status, number in counts.items() if status not in TERMINAL)

    def _submit(self, document_id: str, chunks: list[Json], poisoned: int, lane: str, twice: bool) -> None:
        while not self._stop.is_set():
            try:
                run_id = self.client.submit(document_id, chunks, lane=lane).run_id
                if twice:
                    self.client.submit(document_id, chunks, lane=lane)
            except StoreUnavailable:
                time.sleep(0.5)
                continue
            self.documents[document_id] = Submitted(run_id, len(chunks), poisoned)
            return

    def counts(self) -> str:
        """For a line of the log."""
        with suppress(SmartRagError):
            counts = self.client.counts()
            return f"{len(self.documents)} documents, {sum(counts.get(s, 0) for s in TERMINAL)} ended"
        return f"{len(self.documents)} documents, the store is away"

    # -- the end

    def calm(self, limit: float = 420.0) -> None:
        """No more documents and faults; every document ends, or this raises."""
        self._stop.set()
        self._producer.join()
        self.proxy.heal()
        self.keep_alive()

        wait_until(lambda: self._open_documents() == 0, timeout=limit, what=f"all documents to end; see {self.home}")
        wait_until(lambda: not any(self.redis.llen(queue) for queue in QUEUES), timeout=60, what="empty queues")
        wait_until(lambda: not self.redis.exists("unacked"), timeout=360, what="no unacknowledged messages")


# -- the faults: what they did, for the log


def _worker(field: Field, dice: random.Random) -> Any:
    field.keep_alive()
    return field.stack.workers[dice.randrange(len(field.stack.workers))]


def kill_child(field: Field, dice: random.Random) -> str:
    children = field.stack.children(_worker(field, dice))
    if not children:
        return "no child yet"
    with suppress(psutil.NoSuchProcess):
        children[dice.randrange(len(children))].kill()
    return ""


def kill_worker(field: Field, dice: random.Random) -> str:
    worker = _worker(field, dice)
    field.stack.kill_worker(worker)
    field.replace_worker(worker)
    return worker.chaos_name


def kill_parent(field: Field, dice: random.Random) -> str:
    worker = _worker(field, dice)
    worker.kill()
    field.replace_worker(worker)
    return worker.chaos_name


def stop_worker(field: Field, dice: random.Random) -> str:
    worker = _worker(field, dice)
    worker.send_signal(signal.SIGTERM)
    field.replace_worker(worker)
    return worker.chaos_name


def kill_redis(field: Field, dice: random.Random) -> str:
    seconds = dice.uniform(0, 5)
    field.stack.redis.kill()
    time.sleep(seconds)
    field.stack.redis.start()
    return f"back after {seconds:.1f} s"


def freeze_redis(field: Field, dice: random.Random) -> str:
    seconds = dice.uniform(1, 15)
    pid = field.stack.redis.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)
    return f"{seconds:.1f} s"


def flush(field: Field, dice: random.Random) -> str:
    field.redis.flushall()
    field.flushed_at = time.time()
    field.malformed = 0
    return ""


def reset(field: Field, dice: random.Random) -> str:
    field.proxy.reset_all()
    return ""


def close_port(field: Field, dice: random.Random) -> str:
    seconds = dice.uniform(1, 10)
    field.proxy.close_port()
    time.sleep(seconds)
    field.proxy.open_port()
    return f"{seconds:.1f} s"


def blackhole(field: Field, dice: random.Random) -> str:
    seconds = dice.uniform(1, 15)
    field.proxy.blackhole()
    time.sleep(seconds)
    field.proxy.heal()
    return f"{seconds:.1f} s"


def half_open(field: Field, dice: random.Random) -> str:
    field.proxy.half_open()
    return ""


def lose_reply(field: Field, dice: random.Random) -> str:
    field.proxy.drop_next_reply(brpop_reply(METADATA_QUEUE))
    return ""


def lock_store(field: Field, dice: random.Random) -> str:
    seconds = dice.uniform(1, 15)
    other = sqlite3.connect(field.home / "store.db", isolation_level=None, timeout=30)
    other.execute("BEGIN IMMEDIATE")
    time.sleep(seconds)
    other.execute("ROLLBACK")
    other.close()
    return f"{seconds:.1f} s"


def send_malformed(field: Field, dice: random.Random) -> str:
    kind, queue = dice.choice(NINE), dice.choice(QUEUES)
    field.redis.rpush(queue, MALFORMED[kind])
    field.malformed += 1
    return f"{kind}, on {queue}"


def repeat_messages(field: Field, dice: random.Random) -> str:
    """What waits in a queue is there twice."""
    waiting = field.redis.lrange(METADATA_QUEUE, 0, 20)
    if waiting:
        field.redis.rpush(METADATA_QUEUE, *waiting)
    return f"{len(waiting)} messages"


def cancel(field: Field, dice: random.Random) -> str:
    names = sorted(field.documents)[-200:]
    for name in dice.sample(names, len(names)):
        with suppress(InvalidInput, StoreUnavailable):
            field.client.cancel(name)
            field.documents[name].cancelled = True
            return name
    return "nothing to cancel"


def pause(field: Field, dice: random.Random) -> str:
    names = sorted(field.documents)[-200:]
    for name in dice.sample(names, len(names)):
        try:
            field.client.pause(name)
        except (InvalidInput, StoreUnavailable):
            continue
        time.sleep(dice.uniform(1, 5))
        while True:
            with suppress(StoreUnavailable):
                field.client.resume(name)
                return name
    return "nothing to pause"


def kill_beat(field: Field, dice: random.Random) -> str:
    assert field.beat is not None
    field.beat.kill()
    field.beat.wait(10)
    field.start_beat()
    return ""


#: Each with its weight.
FAULTS: dict[str, tuple[Callable[[Field, random.Random], str], int]] = {
    "kill child": (kill_child, 10),
    "kill worker": (kill_worker, 5),
    "kill parent": (kill_parent, 3),
    "stop worker": (stop_worker, 4),
    "kill redis": (kill_redis, 5),
    "freeze redis": (freeze_redis, 3),
    "flushall": (flush, 3),
    "reset": (reset, 6),
    "close port": (close_port, 4),
    "blackhole": (blackhole, 3),
    "half open": (half_open, 2),
    "lose reply": (lose_reply, 5),
    "lock store": (lock_store, 4),
    "malformed": (send_malformed, 5),
    "repeat messages": (repeat_messages, 4),
    "cancel": (cancel, 4),
    "pause": (pause, 3),
    "kill beat": (kill_beat, 2),
}
