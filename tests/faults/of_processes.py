"""Faults of worker processes."""

from __future__ import annotations

import signal

import psutil
from ground import Ground, Outcome


def kill_child(ground: Ground) -> Outcome:
    """The out-of-memory killer takes a pool child in the middle of a batch."""
    worker = ground.begin()
    victim = ground.busy_child(worker)
    ground.fault()
    victim.kill()
    return ground.end(10)


def kill_worker(ground: Ground) -> Outcome:
    """The whole worker at once, and a new one starts."""
    worker = ground.begin()
    ground.fault()
    ground.stack.kill_worker(worker)
    ground.start_worker()
    return ground.end(30)


def kill_parent(ground: Ground) -> Outcome:
    """The parent only; its children die with it, and a new worker starts."""
    worker = ground.begin()
    children = ground.stack.children(worker)
    ground.fault()
    worker.kill()
    ground.stack.workers.remove(worker)
    worker.wait(5)
    ground.start_worker()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, "children outlived their parent"
    return ground.end(30)


def soft_shutdown(ground: Ground) -> Outcome:
    """SIGTERM, which `docker stop` sends too; a new worker starts when the old one has ended."""
    worker = ground.begin()
    ground.fault()
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    ground.stack.workers.remove(worker)
    ground.start_worker()
    outcome = ground.end(40)
    assert 0 == outcome.repeats, outcome
    return outcome


def chunk_kills(ground: Ground) -> Outcome:
    """A chunk that SIGKILLs its process."""
    return _poison(ground, "kill")


def chunk_exits(ground: Ground) -> Outcome:
    """A chunk that ends its process with `_exit`."""
    return _poison(ground, "exit")


def _poison(ground: Ground, word: str) -> Outcome:
    guilty = ground.scale.chunks // 2 + 2
    ground.start_worker()
    ground.submit({guilty: word})
    ground.work_begins(0.01)
    ground.fault()
    outcome = ground.end(60, "completed_with_errors")
    assert 1 == outcome.states["quarantined"], outcome
    assert [3] == ground.calls(guilty)
    return outcome


def chunk_hangs(ground: Ground) -> Outcome:
    """A chunk that hangs past the hard limit, deaf to the soft one."""
    guilty = ground.scale.chunks // 2 + 2
    limit = ground.scale.time_limit
    ground.start_worker(SMART_RAG_TIME_LIMIT=limit, SMART_RAG_SOFT_TIME_LIMIT=limit * ground.scale.soft_share)
    ground.submit({guilty: "hang"})
    ground.wait(lambda: ground.calls(guilty) == [1], 60, "the chunk that hangs")
    ground.fault()
    outcome = ground.end(3 * limit, "completed_with_errors", note=f"hard limit {limit:g} s")
    assert 1 == outcome.states["quarantined"], outcome
    assert [3] == ground.calls(guilty)
    return outcome


def raises_always(ground: Ground) -> Outcome:
    """A chunk that always raises."""
    guilty = ground.scale.chunks // 2 + 2
    ground.start_worker()
    ground.submit({guilty: "raise:always"})
    ground.work_begins(0.01)
    ground.fault()
    outcome = ground.end(60, "completed_with_errors")
    assert 1 == outcome.states["failed"], outcome
    failed = ground.failed_chunk(guilty)
    assert "RuntimeError" == failed.error_kind
    assert "told to raise" in failed.traceback
    return outcome


def raises_twice(ground: Ground) -> Outcome:
    """A chunk that raises two times, then works."""
    guilty = ground.scale.chunks // 2 + 2
    ground.start_worker()
    ground.submit({guilty: "raise:2"})
    ground.work_begins(0.01)
    ground.fault()
    outcome = ground.end(60)
    assert ground.calls(guilty)[0] >= 3
    return outcome
