"""Moments at which plain Celery 5.7 ends its worker instead of connecting again, or connects again and does not end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ground import QUICK, Ground
from stack import wait_until


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with Ground(tmp_path, QUICK) as ground:
        yield ground


def test_the_connection_is_lost_while_a_worker_says_hello_to_others(ground: Ground) -> None:
    log = ground.home / "starting.log"
    worker = ground.stack.start_worker(name="starting", wait=False, REDIS_URL=ground.proxy.url)
    wait_until(lambda: log.exists() and "mingle: searching" in log.read_text(), timeout=60, what="the hello")

    ground.proxy.close_port()
    time.sleep(3)  # lost before its question was sent, it asks again and again and says nothing
    ground.proxy.open_port()

    wait_until(lambda: " ready." in log.read_text() or worker.poll() is not None, timeout=60, what="the worker")
    assert worker.poll() is None, log.read_text()[-3000:]


def test_a_child_dies_while_there_is_no_connection(ground: Ground) -> None:
    worker = ground.begin()
    ground.proxy.close_port()
    for child in ground.stack.children(worker):
        child.kill()
    ground.fault()
    ground.outage(10)
    ground.proxy.open_port()

    ground.end(60)
    assert worker.poll() is None


def test_redis_goes_for_good_while_a_worker_sends_its_heartbeat(ground: Ground) -> None:
    worker = ground.begin()
    ground.proxy.freeze()
    time.sleep(8)  # a heartbeat every two seconds, and five until it is given up
    ground.proxy.close_port()
    time.sleep(3)

    worker.terminate()
    assert worker.wait(timeout=30) == 0
