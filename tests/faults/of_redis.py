"""Faults of Redis and of the way to it."""

from __future__ import annotations

import os
import shutil
import signal
import time

from ground import Ground, Outcome
from proxy import brpop_reply

from smart_rag_tasks.names import METADATA_QUEUE


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


def full(ground: Ground) -> Outcome:
    """`maxmemory` is reached (noeviction: each write is refused) for 10 s, then there is room again."""
    ground.begin()
    ground.redis.config_set("maxmemory", 1)
    ground.outage(10)
    ground.redis.config_set("maxmemory", 0)
    ground.fault()
    return ground.end(30)
