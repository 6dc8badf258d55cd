"""The table of faults: a row for each, with what it must show. `benchmarks/faults.py` measures it, tests check it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import of_beats
import of_messages
import of_processes
import of_redis
import of_store
from ground import Ground, Outcome, Scale


@dataclass(frozen=True, slots=True)
class Row:
    """One fault."""

    name: str
    fault: str
    must: str
    strike: Callable[[Ground], Outcome]
    #: ``sqlite``, ``small disk`` (SQLite on one) or ``postgresql``.
    store: str = "sqlite"


TABLE = (
    Row("kill-child", "kill -9 a pool child", "≤ 10 s", of_processes.kill_child),
    Row("kill-worker", "kill -9 the whole worker, a new one starts", "≤ 30 s", of_processes.kill_worker),
    Row("kill-parent", "kill -9 the parent only, a new one starts", "≤ 30 s", of_processes.kill_parent),
    Row("sigterm", "SIGTERM (docker stop) with batches at work", "0 repeats, ≤ 40 s", of_processes.soft_shutdown),
    Row("redis-killed", "Redis killed, back in 3 s with its AOF", "≤ 20 s", of_redis.killed),
    Row("redis-empty", "Redis killed, back in 3 s empty", "≤ 30 s", of_redis.restarted_empty),
    Row("flushall", "FLUSHALL in mid-run", "≤ 30 s", of_redis.flushed),
    Row("redis-frozen", "Redis frozen for 20 s", "≤ 20 s after", of_redis.frozen),
    Row("tcp-reset", "all TCP connections reset", "≤ 20 s", of_redis.reset),
    Row("port-closed", "port closed for 10 s", "≤ 20 s after", of_redis.port_closed),
    Row("blackhole", "blackhole for 20 s", "≤ 20 s after", of_redis.blackhole),
    Row("half-open", "half-open connections for ever", "≤ 60 s", of_redis.half_open),
    Row("reply-lost", "one BRPOP reply lost", "≤ 30 s", of_redis.reply_lost),
    Row("reply-lost-busy", "the same, the queue never empty", "≤ 60 s", of_redis.reply_lost_while_busy),
    Row("raises", "a chunk that always raises", "failed, the rest done", of_processes.raises_always),
    Row("raises-twice", "a chunk that raises twice, then works", "done", of_processes.raises_twice),
    Row("chunk-kills", "a chunk that SIGKILLs its process", "3 tries, alone", of_processes.chunk_kills),
    Row("chunk-exits", "a chunk that _exits its process", "3 tries, alone", of_processes.chunk_exits),
    Row("chunk-hangs", "a chunk that hangs, deaf to the soft limit", "≤ 3 limits, alone", of_processes.chunk_hangs),
    Row("twice-running", "messages delivered twice while running", "0 repeats", of_messages.twice_while_running),
    Row("entry-twice", "entry message delivered twice", "0 repeats", of_messages.entry_twice),
    Row("submitted-twice", "same document submitted twice at once", "one run", of_messages.submitted_twice),
    Row("cancelled", "cancel in mid-run, then a new worker", "≤ 2 batches go on", of_messages.cancelled),
    Row("cancelled-idle", "cancel while no worker is up", "nothing runs", of_messages.cancelled_without_worker),
    Row("redis-full", "maxmemory reached for 10 s", "≤ 30 s after", of_redis.full),
    Row("malformed", "nine malformed messages on each queue", "no process dies", of_messages.malformed),
    Row("old-formats", "old and unknown message formats", "the rest done", of_messages.old_formats),
    Row("half-deployed", "unknown task name in a batch", "≤ 40 s", of_messages.unknown_batch_task),
    Row("planning-kills", "a document whose planning kills", "3 tries, failed", of_store.planning_kills),
    Row("end-kills", "a generator whose describe() kills", "3 tries, done", of_store.end_kills),
    Row("huge-chunk", "a chunk of 50 MB", "refused, the rest done", of_store.huge_chunk),
    Row("disk-full", "disk full under the store for 20 s", "≤ 30 s after", of_store.disk_full, "small disk"),
    Row("store-locked", "SQLite locked for 20 s", "≤ 30 s after", of_store.locked),
    Row("store-restarted", "PostgreSQL stopped for 20 s", "≤ 30 s after", of_store.restarted, "postgresql"),
    Row("beat-killed", "of two beats, the one with the lock killed", "takeover ≤ 60 s", of_beats.taken_over),
    Row("beats-gone", "both beats stopped, queues and worker lost", "≤ 40 s", of_beats.both_gone),
)


@contextmanager
def ground_of(row: Row, home: Path, scale: Scale) -> Iterator[Ground]:
    """A ground with the store that the row is about."""
    with ExitStack() as stack:
        if row.store == "small disk":
            folder = stack.enter_context(of_store.small_disk(home / "disk"))
            ground = Ground(home, scale, store_folder=folder)
        elif row.store == "postgresql":
            ground = Ground(home, scale, postgres=stack.enter_context(of_store.postgresql()))
        else:
            ground = Ground(home, scale)
        yield stack.enter_context(ground)
