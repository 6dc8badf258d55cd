"""Everything over TLS, as the restricted user of deploy/redis/smart_rag.acl: nothing it needs is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from stack import Stack, chunks_of, wait_until
from tls_redis import NoTlsServer, TlsRedis, program

from smart_rag_tasks import Client, names, process_document_pipeline

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "deploy/redis/smart_rag.acl").read_text().strip()
PASSWORD = "correct horse/battery"
LOGIN = "desk:only-for-the-test"

#: Rights that these tests have no use for, and who has.
RESERVE = {
    "exists": "kombu, for the binding of a queue that expired; Celery, for a chord whose end is claimed twice",
    "lindex": "the age of a queue's oldest message, when one waits at that moment",
    "ltrim": "the history of alerts",
    "mget": "Celery, for the results of a group",
    "pexpire": "RedBeat, when beat keeps its lock for longer than a quick test lasts; kombu, for a queue that expires",
    "punsubscribe": "a worker with gossip, when it stops",
    "unwatch": "redis-py, when a watched transaction is given up",
}


def user(name: str) -> str:
    """The line of the ACL file, for another user name."""
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    return RULES.replace("user smart_rag ", f"user {name} ").replace("PASSWORD_SHA256", digest)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> TlsRedis:
    """Not started yet: the stack does that. `probe` has the same rights, for what must be refused."""
    try:
        program()
    except NoTlsServer as error:
        pytest.skip(str(error))
    made = TlsRedis(tmp_path_factory.mktemp("tls"), [user("smart_rag"), user("probe")])
    made.user, made.password = "smart_rag", PASSWORD
    return made


@pytest.fixture(scope="module")
def secured(server: TlsRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack on that server, with short limits: what a dead worker left is delivered again after seconds."""
    stack = Stack(
        tmp_path_factory.mktemp("secured"),
        SMART_RAG_SWEEP_SECONDS=1,
        SMART_RAG_SOFT_TIME_LIMIT=3,
        SMART_RAG_TIME_LIMIT=4,
        SMART_RAG_VISIBILITY_TIMEOUT=5,
        SMART_RAG_SOFT_SHUTDOWN=2,
    )
    stack.redis = server  # type: ignore[assignment]  # it can start and stop, which is all that is asked of it
    stack.ledger_generator()
    with stack:
        stack.start_worker()
        yield stack


def test_a_document_goes_through_end_to_end(secured: Stack) -> None:
    final = process_document_pipeline.delay("manual", chunks_of(*[f"Chunk {n}." for n in range(300)])).get(timeout=60)

    assert ("completed", 300) == (final["final_status"], final["processed_chunks"])
    assert secured.env["REDIS_URL"].startswith("rediss://smart_rag:")


def test_a_message_may_carry_the_chunks_and_a_lane(secured: Stack) -> None:
    from smart_rag_tasks.celery import app

    sent = app.send_task(names.PROCESS_DOCUMENT_PIPELINE, args=["by-message", chunks_of("Tea.")])
    assert "completed" == sent.get(timeout=30)["final_status"]
    urgent = process_document_pipeline.apply_async(("urgent", chunks_of("Tea.")), {"lane": "interactive"})
    assert "completed" == urgent.get(timeout=30)["final_status"]


def test_what_an_operator_asks_is_answered(secured: Stack, server: TlsRedis) -> None:
    from smart_rag_tasks.celery import app
    from smart_rag_tasks.monitoring import CeleryMonitor

    monitor = CeleryMonitor(app, timeout=5)
    server.admin().lpush("default", "not a message")

    checks = {check["name"]: check for check in monitor.health_check("ready")["checks"]}
    assert all(check["ok"] for check in checks.values()), checks
    assert 1 == monitor.get_worker_stats()["active_workers"]
    assert set(names.QUEUES) <= set(monitor.snapshot())
    assert 0 == monitor.purge_queue(names.INTAKE_QUEUE).messages
    wait_until(lambda: server.admin().xlen("smart_rag_tasks.dead_list"), what="the dead letter")
    (letter,) = [each for each in json.loads(cli(secured, "dead-letters", "list", "--json")) if each["id"][0] == "m"]
    cli(secured, "dead-letters", "discard", letter["id"], "--yes")
    cli(secured, "alerts", "silence", "queue_length")
    assert "queue_length" in cli(secured, "alerts", "list")


def cli(stack: Stack, *words: str) -> str:
    """What the command line prints."""
    program = [sys.executable, "-c", "from smart_rag_tasks.cli import main; main()"]
    done = subprocess.run([*program, *words], env=os.environ | stack.env, capture_output=True, text=True, timeout=60)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def test_beat_and_flower_work(secured: Stack) -> None:
    from smart_rag_tasks.celery import app
    from smart_rag_tasks.schedules import beat_tick

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    celery = [sys.executable, "-m", "celery", "-A", "smart_rag_tasks"]
    env = os.environ | secured.env | {"FLOWER_BASIC_AUTH": LOGIN}
    started = []
    for name, words in (("beat", ["beat"]), ("flower", ["flower", f"--port={port}"])):
        with (secured.home / f"{name}.log").open("wb") as log:
            started.append(subprocess.Popen([*celery, *words], env=env, cwd=secured.home, stdout=log, stderr=log))
    try:
        wait_until(lambda: beat_tick(app), timeout=40, what="beat's tick")
        wait_until(lambda: "worker1@" in flower(port, "/api/workers?refresh=1"), timeout=40, what="Flower's workers")
    finally:
        for process in started:
            process.terminate()
        try:
            for process in started:
                process.wait(20)
        finally:
            for process in started:
                process.kill()


def flower(port: int, path: str) -> str:
    """What Flower answers, "" while it does not."""
    login = base64.b64encode(LOGIN.encode()).decode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Basic {login}"})
    try:
        return str(urllib.request.urlopen(request, timeout=10).read().decode())
    except OSError:
        return ""


def test_what_a_dead_worker_held_is_delivered_again(secured: Stack, server: TlsRedis) -> None:
    admin = server.admin()
    process_document_pipeline.delay("hangs", chunks_of("hang", "fine"))
    wait_until(lambda: admin.hlen("unacked"), what="a message in hand")

    secured.kill_worker(secured.workers[0])
    held = set(admin.hkeys("unacked"))  # type: ignore[arg-type]  # not a coroutine
    secured.start_worker(name="worker2")

    assert held
    wait_until(lambda: not held & set(admin.hkeys("unacked")), timeout=40, what="the messages' return")
    Client().cancel("hangs")


@pytest.mark.parametrize(
    "command",
    ["FLUSHALL", "CONFIG GET requirepass", "KEYS *", "ACL LIST", "SHUTDOWN", "GET somebody:else", "PUBLISH news hello"],
)
def test_the_user_may_do_nothing_else(secured: Stack, server: TlsRedis, command: str) -> None:
    with (
        redis.Redis.from_url(server.url("probe", PASSWORD)) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.execute_command(*command.split())


def test_another_authoritys_certificate_is_refused(secured: Stack, server: TlsRedis, tmp_path: Path) -> None:
    from tls_redis import Authority

    Authority(tmp_path)
    client = redis.Redis.from_url(server.url(ssl_ca_certs=str(tmp_path / "ca.pem")), retry=None)

    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        client.ping()


def test_nothing_is_answered_without_tls(secured: Stack, server: TlsRedis) -> None:
    with pytest.raises(redis.ConnectionError):
        redis.Redis(port=server.port, retry=None).ping()


def test_nothing_that_was_needed_was_refused(secured: Stack, server: TlsRedis) -> None:
    """After all the others: Redis' own list of refusals."""
    assert [] == [line for line in server.refused() if line.startswith("smart_rag:")]


def test_no_right_is_there_for_nothing(secured: Stack, server: TlsRedis) -> None:
    """After all the others: Redis' own count of the commands that it was given."""
    used = {name.removeprefix("cmdstat_").lower() for name in server.admin().info("commandstats")}
    granted = {word[1:] for word in RULES.split() if word.startswith("+")}

    assert granted - used <= set(RESERVE)
    assert set(RESERVE) <= granted


def test_the_documented_rules_are_these() -> None:
    text = (ROOT / "docs/operations/security.md").read_text()

    assert RULES.split() == text.partition("```acl\n")[2].partition("```")[0].split()
