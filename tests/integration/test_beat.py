"""Beat, real and in a process of its own: the table is the truth, Redis may come and go, one beat leads."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
from beat_process import Beat
from stack import Stack, wait_until

from smart_rag_tasks import names
from smart_rag_tasks.redis_server import find_server
from smart_rag_tasks.stages import timetable
from smart_rag_tasks.stages.environment import environment

NewStack = Callable[..., Stack]
NewBeat = Callable[..., Beat]

PREFIX = "smart_rag_tasks:redbeat:"


@pytest.fixture
def stack(new_stack: NewStack) -> Stack:
    """A Redis and a store of the test's own."""
    return new_stack(SMART_RAG_SWEEP_SECONDS="1")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Beat]]:
    """A beat that several tests look at."""
    with Stack(tmp_path_factory.mktemp("beat"), SMART_RAG_SWEEP_SECONDS="1") as stack:
        stack.leave_environment()
        beat = Beat(stack, "shared")
        yield stack, beat
        beat.stop(signal.SIGKILL)


@pytest.fixture
def beat(shared: tuple[Stack, Beat]) -> Iterator[Beat]:
    """The same, in this process's environment."""
    shared[0].enter_environment()
    yield shared[1]
    shared[0].leave_environment()


def redis_of(stack: Stack) -> redis.Redis:
    return redis.Redis.from_url(stack.env["REDIS_URL"], decode_responses=True)


@pytest.fixture
def client(shared: tuple[Stack, Beat]) -> redis.Redis:
    """Of the shared beat's Redis."""
    return redis_of(shared[0])


@pytest.fixture
def new_beat() -> Iterator[Callable[..., Beat]]:
    """Starts a beat on a Stack; killed at the end of the test."""
    made: list[Beat] = []

    def make(stack: Stack, config: str = "") -> Beat:
        made.append(Beat(stack, f"beat{len(made) + 1}", config))
        return made[-1]

    yield make
    for beat in made:
        beat.stop(signal.SIGKILL)


def entries(client: redis.Redis) -> set[str]:
    """Names that RedBeat has."""
    found: Any = client.zrange(f"{PREFIX}:schedule", 0, -1)
    return {key.removeprefix(PREFIX) for key in found}


def sent(beat: Beat, name: str) -> int:
    """How often beat has sent an entry."""
    return beat.text().count(f"Sending due task {name} ")


def test_redbeat_is_filled_from_the_table_and_again_after_redis_came_back_empty(
    beat: Beat, client: redis.Redis
) -> None:
    wait_until(lambda: {"sweep", "expire", "regenerate-stale"} <= entries(client), what="the built-in entries")
    wait_until(lambda: sent(beat, "sweep") >= 2 and sent(beat, "expire") == 1, what="the first entries")
    tick = json.loads(client.get(names.BEAT_TICK) or "{}")
    assert time.time() - tick["at"] < 5

    client.flushall()
    wait_until(lambda: {"sweep", "expire"} <= entries(client), what="the entries, again")
    before = sent(beat, "sweep")
    wait_until(lambda: sent(beat, "sweep") >= before + 2, what="more sweeps")
    assert sent(beat, "expire") == 1  # the store knows when it was sent: it is not due again


def test_edits_take_effect_while_beat_runs(beat: Beat, client: redis.Redis) -> None:
    env = environment()
    beat.waits_for("Sending due task sweep")
    assert timetable.add(env, "mine", names.EXPIRE, {}, every=1.0, cron=None)
    wait_until(lambda: sent(beat, "mine") >= 3, what="the new entry")
    timetable.pause(env, "mine")
    wait_until(lambda: "mine" not in entries(client), what="the pause")
    before = sent(beat, "mine")
    assert not timetable.add(env, "mine", None, None, every=None, cron="0 0 1 1 *")
    timetable.resume(env, "mine")
    wait_until(lambda: "mine" in entries(client), what="the changed entry")
    timetable.remove(env, "mine")
    wait_until(lambda: "mine" not in entries(client), what="the removal")
    assert sent(beat, "mine") == before  # a cron line waits for its time


def test_a_period_that_passed_while_nothing_was_sent_is_made_up_for(beat: Beat) -> None:
    env = environment()
    for name, ago in (("daily", 90_000), ("later", 80_000)):
        timetable.note_sent(env, name, time.time() - ago)
        timetable.add(env, name, names.EXPIRE, {}, every=86_400.0, cron=None)
    beat.waits_for("Sending due task daily")
    before = sent(beat, "sweep")
    wait_until(lambda: sent(beat, "sweep") > before)
    assert sent(beat, "later") == 0


def test_a_pause_survives_restarts_of_beat_and_redis(stack: Stack, new_beat: NewBeat) -> None:
    client = redis_of(stack)
    timetable.pause(environment(), "sweep")
    beat = new_beat(stack)
    wait_until(lambda: "expire" in entries(client), what="the entries")
    assert beat.stop() == 0
    client.flushall()
    beat = new_beat(stack)
    wait_until(lambda: "expire" in entries(client), what="the entries")
    assert "sweep" not in entries(client)
    assert sent(beat, "sweep") == 0
    timetable.resume(environment(), "sweep")
    beat.waits_for("Sending due task sweep")


def test_of_two_beats_one_leads_and_the_other_takes_over(stack: Stack, new_beat: NewBeat) -> None:
    first = new_beat(stack)
    first.waits_for("Sending due task sweep")
    second = new_beat(stack)
    second.waits_for("standing by")
    assert sent(second, "sweep") == 0
    first.stop(signal.SIGKILL)
    killed = time.monotonic()
    second.waits_for("Sending due task sweep", timeout=10)
    assert time.monotonic() - killed < 4 + 1 + 3  # lock, loop, and a busy machine

    third = new_beat(stack)
    third.waits_for("standing by")
    assert second.stop() == 0  # gives the lock back
    third.waits_for("Sending due task sweep", timeout=4)


def test_beat_starts_without_redis_and_outlives_its_restart(stack: Stack, new_beat: NewBeat) -> None:
    stack.redis.stop()
    beat = new_beat(stack)
    beat.waits_for("Redis does not answer", count=2)
    stack.redis.start()
    beat.waits_for("Sending due task sweep")
    stack.redis.kill()
    count = beat.text().count("Redis does not answer")
    beat.waits_for("Redis does not answer", count=count + 1)
    stack.redis.start()
    before = sent(beat, "sweep")
    wait_until(lambda: sent(beat, "sweep") >= before + 2, what="sweeps after the restart")
    assert beat.process.poll() is None


def test_beat_finds_redis_through_sentinel(stack: Stack, new_beat: NewBeat) -> None:
    with sentinel_of(stack) as port:
        stack.configure(CELERY_BROKER_URL=f"sentinel://127.0.0.1:{port}/0")
        beat = new_beat(stack, 'broker_transport_options["master_name"] = "ours"')
        wait_until(lambda: sent(beat, "sweep") >= 2, what="the sweeps")
        assert "sweep" in entries(redis_of(stack))
        assert age_of_beat(stack) < 10


def test_beat_finds_redis_at_a_socket(stack: Stack, new_beat: NewBeat) -> None:
    with TemporaryDirectory() as folder:  # a socket's name may not be long
        path = f"{folder}/redis.sock"
        command = [find_server().path, "--port", "0", "--unixsocket", path, "--save", ""]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder) as server:
            try:
                client = redis.Redis(unix_socket_path=path, decode_responses=True, db=1)
                wait_until(lambda: answers(client), what="the server")
                stack.configure(REDIS_URL=f"redis+socket://{path}?virtual_host=1")
                beat = new_beat(stack)
                wait_until(lambda: sent(beat, "sweep") >= 2, what="the sweeps")
                assert "sweep" in entries(client)
                beat.stop(signal.SIGTERM)
            finally:
                server.terminate()


def age_of_beat(stack: Stack) -> float:
    """What the health check sees, in a process that knows Redis through Sentinel only."""
    program = "from smart_rag_tasks import app; from smart_rag_tasks.monitoring.checks import beat_age"
    python_path = f"{stack.home}{os.pathsep}{stack.env['PYTHONPATH']}"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; print(beat_age(app))"],
        env=os.environ | stack.env | {"CELERY_CONFIG_MODULE": "quick_beat_config", "PYTHONPATH": python_path},
        cwd=stack.home,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


@contextmanager
def sentinel_of(stack: Stack) -> Iterator[int]:
    """A Sentinel that watches the stack's Redis under the name ``ours``; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = stack.home / "sentinel.conf"
    config.write_text(f"bind 127.0.0.1\nport {port}\nsentinel monitor ours 127.0.0.1 {stack.redis.port} 1\n")
    with (stack.home / "sentinel.log").open("wb") as log:
        process = subprocess.Popen([find_server().path, config, "--sentinel"], stdout=log, stderr=log, cwd=stack.home)
    try:
        client = redis.Redis(port=port)
        wait_until(lambda: answers(client), what="the sentinel")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
