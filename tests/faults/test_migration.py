"""To RQ and back under load, the mover killed in each phase and a worker in each: nothing lost, nothing doubled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import load
import psutil
import pytest
from rq_stack import PROGRAM, cli, start_rq_worker
from stack import Stack, wait_until

from smart_rag_tasks.client import Client
from smart_rag_tasks.names import QUEUES
from smart_rag_tasks.rq_compat.celery_side import CelerySide
from smart_rag_tasks.rq_compat.items import UPKEEP
from smart_rag_tasks.rq_compat.rq_side import RQSide

#: Documents in all, and a second: more than the workers can do, so that there is a backlog to move.
DOCUMENTS, RATE = 200, 5.0
SECONDS_A_CHUNK = 0.15


def start_load(stack: Stack) -> tuple[subprocess.Popen[bytes], Path]:
    ledger = stack.home / "accepted"
    program = Path(load.__file__)
    words = [sys.executable, str(program), str(ledger), str(DOCUMENTS), str(RATE), "0"]
    return subprocess.Popen(words, env=os.environ | stack.env, cwd=stack.home), ledger


def move_killed_once(stack: Stack, direction: str, at_step: str) -> dict[str, Any]:
    """Start the move, kill -9 it when it has come to ``at_step``, start it again; the outcome."""
    mover = start_mover(stack, direction)
    read_until(mover, at_step)
    mover.kill()
    mover.wait()
    assert mover.returncode == -signal.SIGKILL
    status = cli(stack, "migrate", "status")
    assert "NOT finished" in status.stdout
    done = cli(stack, "migrate", direction, "--yes", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "going on with the move" in done.stderr
    return dict(json.loads(done.stdout))


def start_mover(stack: Stack, direction: str) -> subprocess.Popen[str]:
    words = [*PROGRAM, "migrate", direction, "--yes"]
    return subprocess.Popen(
        words, env=os.environ | stack.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


def read_until(mover: subprocess.Popen[str], told: str) -> None:
    """Until the mover says that; what it says is saved before."""
    assert mover.stderr is not None
    said = []
    for line in mover.stderr:
        said.append(line)
        if told in line:
            return
    raise AssertionError(f"it never said {told!r}: {''.join(said)}")


def kill_tree(pid: int) -> set[int]:
    """SIGKILL a process and all below it; returns their ids."""
    parent = psutil.Process(pid)
    family = [parent, *parent.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return {process.pid for process in family}


def generations(ledger: Path) -> dict[tuple[str, str], list[int]]:
    """The processes that generated each chunk."""
    pids = defaultdict(list)
    for line in ledger.read_text().splitlines():
        document_id, chunk_id, pid = line.split("\t")[:3]
        if document_id.startswith("load-"):
            pids[document_id, chunk_id].append(int(pid))
    return pids


@pytest.mark.timeout(300)
def test_rollback_and_forward_under_load(new_stack: Callable[..., Stack], capsys: pytest.CaptureFixture[str]) -> None:
    stack = new_stack(SMART_RAG_SWEEP_SECONDS="1", SMART_RAG_LOST_AFTER="3")
    stack.ledger_generator(seconds=SECONDS_A_CHUNK)
    stack.enter_environment()
    killed: set[int] = set()
    doomed = stack.start_worker()
    stack.start_worker()
    start_rq_worker(stack, count=2, name="rq-pool")
    producer, accepted = start_load(stack)
    try:
        wait_until(lambda: len(load.accepted(accepted)) > 60)
        stack.workers.remove(doomed)
        killed |= kill_tree(doomed.pid)
        back = move_killed_once(stack, "rollback", "take nothing new")
        doomed_rq = start_rq_worker(stack, count=1, name="rq-doomed")
        time.sleep(2)
        stack.workers.remove(doomed_rq)
        killed |= kill_tree(doomed_rq.pid)
        forth = move_killed_once(stack, "forward", "unfinished runs given")
    finally:
        producer.wait(120)
    submitted = load.accepted(accepted)
    assert len(submitted) == DOCUMENTS, "a submission was refused"
    client = Client()
    wait_until(
        lambda: {client.status(str(one["document_id"]))["status"] for one in submitted} == {"completed"},
        timeout=120,
        what="all documents to end",
    )
    made = generations(stack.ledger)
    lost = DOCUMENTS * load.CHUNKS - len(made)
    doubled = [pids for pids in made.values() if len(pids) > 1 and not killed & set(pids)]
    again = sum(len(pids) - 1 for pids in made.values() if killed & set(pids))
    with capsys.disabled():
        _report(back, forth, submitted, lost, len(doubled), again)
    assert (lost, doubled) == (0, [])
    assert (back["problems"], forth["problems"]) == ([], [])
    assert _left_over() == []
    consumed = CelerySide().consumers()
    assert all(consumed[queue] == 1 for queue in QUEUES), "the consumers were not given back"


def _left_over() -> list[str]:
    """Messages of ours on RQ's side, and items half way."""
    sides = (RQSide(), CelerySide())
    left = [item.function for item in sides[0].items() if item.kind != UPKEEP]
    return left + [item.function for side in sides for item in side.held()]


def _report(
    back: dict[str, Any],
    forth: dict[str, Any],
    submitted: list[dict[str, Any]],
    lost: int,
    doubled: int,
    again: int,
) -> None:
    """The proof's numbers, printed: they are what the page quotes."""
    slowest = max(one["seconds"] for one in submitted)
    print(f"\n{len(submitted)} documents accepted, slowest submission {slowest} s")
    for outcome in (back, forth):
        print(f"{outcome['direction']}: moved {outcome['moved']}, {outcome['seconds']} s, "
              f"workers paused {outcome['paused_seconds']} s")  # fmt: skip
        for name in sorted({*outcome["before"], *outcome["after"]}):
            print(f"  {name:28} {outcome['before'].get(name, 0):6} {outcome['after'].get(name, 0):6}")
    print(f"lost {lost}, doubled {doubled}, generated again because their process was killed: {again}")


STEPS = ("canary", "switch", "take nothing new", "nothing of ours runs", "unfinished runs given")


@pytest.mark.timeout(240)
def test_killed_after_every_step_and_redis_away_in_the_middle(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack(SMART_RAG_SWEEP_SECONDS="1", SMART_RAG_LOST_AFTER="3")
    stack.ledger_generator(seconds=0.02)
    stack.enter_environment()
    client = Client()
    for number in range(40):
        client.submit(f"load-{number}", [{"chunk_id": f"c{n}", "text": f"{n} of {number}"} for n in range(3)])
    start_rq_worker(stack, count=1, name="rq-pool")
    for step in STEPS:
        kill_after(stack, step)
    mover = start_mover(stack, "rollback")
    read_until(mover, "take nothing new")
    stack.redis.kill()
    _, said = mover.communicate(timeout=60)
    assert mover.returncode == 1 and "Traceback" not in said and "again" in said, said
    stack.redis.start()
    done = cli(stack, "migrate", "rollback", "--yes", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["problems"] == [], done.stdout + done.stderr
    wait_until(lambda: client.counts() == {"completed": 40}, timeout=90, what="all documents to end")
    assert {len(pids) for pids in generations(stack.ledger).values()} == {1}


def kill_after(stack: Stack, step: str) -> None:
    mover = start_mover(stack, "rollback")
    read_until(mover, step)
    mover.kill()
    mover.wait()
