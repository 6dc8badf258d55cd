"""Faults of Redis and of the way to it."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from dataclasses import replace

from ground import Ground, Outcome
from proxy import brpop_reply

from smart_rag_tasks.models import TERMINAL
from smart_rag_tasks.names import METADATA_QUEUE, PRIORITY_QUEUE


def killed(ground: Ground) -> Outcome:
    """SIGKILL, back 3 s later with its append-only file."""
    ground.begin()
    ground.server.kill()
    ground.fault()
    time.sleep(3)  # as the table has it
    ground.server.start()
    return ground.end(20)


def restarted_empty(ground: Ground) -> Outcome:
    """SIGKILL, back 3 s later with nothing."""
    ground.begin()
    ground.server.kill()
    shutil.rmtree(ground.server.folder / "appendonlydir")
    ground.fault()
    time.sleep(3)
    ground.server.start()
    return ground.end(30)


def flushed(ground: Ground) -> Outcome:
    """FLUSHALL in mid-run."""
    ground.begin()
    ground.fault()
    ground.redis.flushall()
    return ground.end(30)


def frozen(ground: Ground) -> Outcome:
    """SIGSTOP for 20 s: connections stand, nobody answers."""
    ground.begin()
    pid = ground.server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    ground.outage()
    os.kill(pid, signal.SIGCONT)
    ground.fault()
    return ground.end(20)


def reset(ground: Ground) -> Outcome:
    """RST on every connection."""
    ground.begin()
    ground.fault()
    ground.proxy.reset_all()
    return ground.end(20)


def port_closed(ground: Ground) -> Outcome:
    """Connections refused for 10 s."""
    ground.begin()
    ground.proxy.close_port()
    ground.outage(10)
    ground.proxy.open_port()
    ground.fault()
    return ground.end(20)


def blackhole(ground: Ground) -> Outcome:
    """Connections are taken, nothing comes back, for 20 s."""
    ground.begin()
    ground.proxy.blackhole()
    ground.outage()
    ground.proxy.heal()
    ground.fault()
    return ground.end(20)


def half_open(ground: Ground) -> Outcome:
    """All connections there are go dead for ever, without a word; new ones work."""
    ground.begin()
    ground.fault()
    ground.proxy.half_open()
    return ground.end(60)


def reply_lost(ground: Ground) -> Outcome:
    """The one reply that carries a batch's message is lost on its way: Redis thinks that it was delivered."""
    ground.begin()
    ground.fault()
    ground.proxy.drop_next_reply(brpop_reply(METADATA_QUEUE))
    ground.wait(ground.proxy.dropped.is_set, 10, "the reply to be lost")
    return ground.end(30)


def reply_lost_while_busy(ground: Ground) -> Outcome:
    """The same in the interactive lane, where other documents keep the one queue from ever being empty."""
    ground.begin(lane="interactive")
    ground.fault()
    ground.proxy.drop_next_reply(brpop_reply(PRIORITY_QUEUE))
    ground.wait(ground.proxy.dropped.is_set, 10, "the reply to be lost")
    others = _Others(ground)
    others.start()
    try:
        ground.wait(lambda: ground.status()["status"] in TERMINAL, 60, "the end")
        seconds = time.monotonic() - ground.since
    finally:
        others.stop.set()
        others.join()
    ground.wait(lambda: not ground.redis.llen(PRIORITY_QUEUE), 120, "the others to end")
    return replace(ground.end(90), seconds=round(seconds, 2), limit=60)


class _Others(threading.Thread):
    """Keeps four documents of a few batches under way: the queue is hardly ever empty."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(name="other documents")
        self.ground = ground
        self.stop = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.stop.wait(0.05):
            counts = self.ground.client.counts()
            if sum(counts.get(status, 0) for status in ("queued", "running")) < 5:
                document_id = f"{self.ground.document_id}-other-{number}"
                texts = [{"chunk_id": f"c{index}", "text": f"{document_id} {index}"} for index in range(15)]
                self.ground.client.submit(document_id, texts, lane="interactive")
                number += 1


def full(ground: Ground) -> Outcome:
    """`maxmemory` is reached (noeviction: each write is refused) for 10 s, then there is room again."""
    ground.begin()
    ground.redis.config_set("maxmemory", 1)
    ground.outage(10)
    ground.redis.config_set("maxmemory", 0)
    ground.fault()
    return ground.end(30)
