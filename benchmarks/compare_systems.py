"""The compared systems: how each is started, given work, asked how far it is, killed and started again."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

import psutil

from smart_rag_tasks import child
from smart_rag_tasks.names import QUEUES
from smart_rag_tasks.redis_server import RedisServer

HERE = Path(__file__).parent
SLOTS = 2
#: Chunks of a document in the documents' rounds.
CHUNKS = 5
#: About 1,200 characters, as a chunk of a document has.
FILLER = "the quick brown fox jumps over the lazy dog. " * 26


def chunk(document: str, number: int) -> dict[str, str]:
    """A chunk that no other is like."""
    return {"chunk_id": f"c{number}", "text": f"{document} {number} {FILLER}"}


class System:
    """One system with a Redis of its own and two worker slots."""

    name = ""
    #: Where finished chunks, and documents, are counted.
    count_chunks = "SELECT count(*) FROM results"
    count_documents = f"SELECT count(*) FROM (SELECT 1 FROM results GROUP BY document HAVING count(*) = {CHUNKS})"

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.redis = home, RedisServer(home / "redis")
        self.database = home / "results.db"
        self.worker: subprocess.Popen[bytes] | None = None
        #: Set when a round is cut off: what was not submitted yet, is not.
        self.enough = Event()
        self.env = {**os.environ, "PYTHONPATH": str(HERE), "COMPARE_DB": str(self.database)}

    def start(self) -> None:
        """Redis, then workers; returns when they wait for work."""
        self.env["REDIS_URL"] = self.redis.start()
        self.prepare()
        self.start_worker()
        self.submit_tasks("warm", 2 * SLOTS)
        self.wait(self.count_chunks, 2 * SLOTS, 60)

    def prepare(self) -> None:
        """What this process needs to submit."""
        os.environ.update({name: self.env[name] for name in ("REDIS_URL", "COMPARE_DB")})
        with sqlite3.connect(self.database) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE results (document TEXT, chunk TEXT, meta TEXT, PRIMARY KEY (document, chunk))")  # fmt: skip  # noqa: E501

    def start_worker(self) -> None:
        """The workers, in a process group of their own."""
        with (self.home / "worker.log").open("ab") as log:  # it dies with us, whatever kills us
            self.worker = child.spawn(self.command(), env=self.env, cwd=self.home, output=log)

    def command(self) -> list[str]:
        raise NotImplementedError

    def submit_tasks(self, tag: str, count: int) -> None:
        """``count`` chunks by themselves."""
        raise NotImplementedError

    def submit_documents(self, tag: str, count: int) -> None:
        """``count`` documents of CHUNKS chunks: without a pipeline, their chunks."""
        for number in range(count):
            if self.enough.is_set():
                return
            self.submit_chunks(f"{tag}-{number}", [chunk(f"{tag}-{number}", place) for place in range(CHUNKS)])

    def submit_chunks(self, document: str, chunks: list[dict[str, str]]) -> None:
        raise NotImplementedError

    def count(self, query: str) -> int:
        """How far it is."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10) as connection:
            return int(connection.execute(query).fetchone()[0])

    def wait(self, query: str, goal: int, cap: float) -> int:
        """Until the count has come to ``goal``, ``cap`` seconds at the most; the count."""
        deadline = time.perf_counter() + cap
        while (now := self.count(query)) < goal and time.perf_counter() < deadline:
            time.sleep(0.01)
        return now

    def family(self) -> list[psutil.Process]:
        """The worker processes."""
        assert self.worker is not None
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.worker.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def kill_worker(self) -> None:
        """SIGKILL all of it."""
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        assert self.worker is not None
        self.worker.wait()

    def drop_work(self) -> None:
        """Stop, forget what waits, start anew: the next round begins empty."""
        self.kill_worker()
        import redis

        redis.Redis.from_url(self.env["REDIS_URL"]).flushall()
        self.forget()
        self.start_worker()
        self.submit_tasks("warm", 2 * SLOTS)
        self.wait(self.count_chunks, 2 * SLOTS, 60)

    def forget(self) -> None:
        """Delete what was finished."""
        with sqlite3.connect(self.database, timeout=30) as connection:
            connection.execute("DELETE FROM results")

    def stop(self) -> None:
        """Workers and Redis."""
        self.kill_worker()
        self.redis.stop()


class RQAsWritten(System):
    """RQ as the document has it: pickled jobs one at a time, default workers, nothing imported before the fork."""

    name = "RQ, as written"

    def command(self) -> list[str]:
        return [sys.executable, str(HERE / "compare_rq_workers.py"), "plain"]

    def queue(self) -> Any:
        from redis import Redis
        from rq import Queue

        return Queue("metadata_queue", connection=Redis.from_url(self.env["REDIS_URL"]))

    def submit_chunks(self, document: str, chunks: list[dict[str, str]]) -> None:
        queue = self.queue()
        for item in chunks:
            if self.enough.is_set():
                return
            queue.enqueue(
                "compare_work.generate_metadata_for_chunk",
                item["chunk_id"],
                item["text"],
                document,
                job_timeout="10m",
                result_ttl=86400,
                failure_ttl=604800,
            )

    def submit_tasks(self, tag: str, count: int) -> None:
        self.submit_chunks(tag, [chunk(tag, number) for number in range(count)])


class RQTuned(RQAsWritten):
    """RQ with what it offers: imports before the fork, JSON, jobs sent in one round trip, short intervals."""

    name = "RQ, tuned"

    def command(self) -> list[str]:
        return [sys.executable, str(HERE / "compare_rq_workers.py"), "tuned"]

    def submit_chunks(self, document: str, chunks: list[dict[str, str]]) -> None:
        from redis import Redis
        from rq import Queue, Retry
        from rq.serializers import JSONSerializer

        queue = Queue("metadata_queue", connection=Redis.from_url(self.env["REDIS_URL"]), serializer=JSONSerializer)
        queue.enqueue_many(
            Queue.prepare_data(
                "compare_work.generate_metadata_for_chunk",
                args=(item["chunk_id"], item["text"], document),
                timeout=600,
                result_ttl=600,
                retry=Retry(max=3, interval=[1, 5, 30]),
                description=item["chunk_id"],
            )
            for item in chunks
        )


class CeleryAsWritten(System):
    """Plain Celery as the document has it: one message a chunk, its settings and no others."""

    name = "Celery, as written"

    def command(self) -> list[str]:
        words = ["-A", "compare_work", "worker", "--loglevel", "INFO", "--concurrency", str(SLOTS)]
        return [sys.executable, "-m", "celery", *words]

    def prepare(self) -> None:
        super().prepare()
        from compare_work import app

        app.conf.update(broker_url=self.env["REDIS_URL"], result_backend=self.env["REDIS_URL"])

    def submit_chunks(self, document: str, chunks: list[dict[str, str]]) -> None:
        from compare_work import generate_metadata_for_chunk_celery as task

        for item in chunks:
            if self.enough.is_set():
                return
            task.delay(item["chunk_id"], item["text"], document)

    def submit_tasks(self, tag: str, count: int) -> None:
        self.submit_chunks(tag, [chunk(tag, number) for number in range(count)])


class Product(System):
    """This product: documents through its pipeline, single chunks by `batch_metadata_generation`'s own task."""

    name = "smart_rag_tasks"
    count_chunks = "SELECT count(*) FROM chunks WHERE state = 'done'"
    count_documents = "SELECT count(*) FROM documents WHERE status = 'completed' AND summary != ''"

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.database = home / "store.db"
        self.env |= {
            "SMART_RAG_HOME": str(home),
            "SMART_RAG_STORE_URL": f"sqlite:///{self.database}",
            "SMART_RAG_GENERATOR": "compare_work:CompareGenerator",
            "REMAP_SIGTERM": "SIGQUIT",
            "WORKER_CONCURRENCY": str(SLOTS),
        }

    def prepare(self) -> None:
        from smart_rag_tasks.celery import app
        from smart_rag_tasks.stages.environment import environment, reset

        os.environ.update({name: value for name, value in self.env.items() if name not in ("PATH",)})
        reset()
        app.conf.update(broker_url=self.env["REDIS_URL"], result_backend=self.env["REDIS_URL"])
        environment()

    def command(self) -> list[str]:
        words = ["-A", "smart_rag_tasks", "worker", "--loglevel", "INFO", "-Q", ",".join(QUEUES), "-c", str(SLOTS)]
        return [sys.executable, "-m", "celery", *words, "--without-gossip", "--without-mingle"]

    def submit_tasks(self, tag: str, count: int) -> None:
        from smart_rag_tasks.tasks import generate_metadata_for_chunk as task

        for number in range(count):
            if self.enough.is_set():
                return
            item = chunk(tag, number)
            task.delay(item["chunk_id"], item["text"], tag)

    def submit_chunks(self, document: str, chunks: list[dict[str, str]]) -> None:
        from smart_rag_tasks import process_document_pipeline

        process_document_pipeline.delay(document, chunks)

    def forget(self) -> None:
        with sqlite3.connect(self.database, timeout=30) as connection:
            for table in ("chunks", "documents", "runs", "batches", "outbox"):
                connection.execute(f"DELETE FROM {table}")


SYSTEMS: tuple[type[System], ...] = (RQAsWritten, RQTuned, CeleryAsWritten, Product)
