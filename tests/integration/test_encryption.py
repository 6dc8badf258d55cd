"""Encrypted payloads: a real worker and a real Redis, looked at from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography.fernet import Fernet
from malformed_messages import encoded, message, raw
from worker_process import HERE, Worker, eventually, running

from smart_rag_tasks.dead_list import count, dead_messages
from smart_rag_tasks.encryption import celery_settings
from smart_rag_tasks.errors import InvalidSettings
from smart_rag_tasks.redis_server import RedisServer

OLD, NEW, FOREIGN = (Fernet.generate_key().decode() for _ in range(3))
SECRET = "the text of a chunk 机密"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def client(server: RedisServer) -> redis.Redis:
    client = redis.Redis.from_url(server.url)
    client.flushall()
    return client


@pytest.fixture(scope="module")
def worker(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """It encrypts with the new key, and still takes the old one."""
    log = tmp_path_factory.mktemp("worker") / "encrypted.log"
    with running("encrypted_app", log, TEST_REDIS=server.url, TEST_KEYS=f"{NEW},{OLD}") as worker:
        yield worker


class Clients:
    """Application processes, one for each set of keys: kombu has one registry of serializers a process."""

    LOOP = """
import json, sys
from encrypted_app import *
for line in sys.stdin:
    try:
        print(json.dumps(eval(line)), flush=True)
    except Exception as error:
        print(json.dumps(f"{type(error).__name__}: {error}"), flush=True)
"""

    def __init__(self, url: str) -> None:
        self.env = {**os.environ, "PYTHONPATH": str(HERE), "TEST_REDIS": url}
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def say(self, keys: str, code: str) -> Any:
        """The value of ``code`` there, or its error as text."""
        if keys not in self.processes:
            self.processes[keys] = subprocess.Popen(
                [sys.executable, "-c", self.LOOP],
                env={**self.env, "TEST_KEYS": keys},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        process = self.processes[keys]
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(code + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def close(self) -> None:
        for process in self.processes.values():
            process.communicate(timeout=10)


@pytest.fixture(scope="module")
def clients(server: RedisServer) -> Iterator[Clients]:
    clients = Clients(server.url)
    yield clients
    clients.close()


def everything_in(client: redis.Redis) -> bytes:
    return b"\n".join(client.dump(key) or b"" for key in client.scan_iter())


class TestRoundTrip:
    def test_of_a_task(self, clients: Clients, client: redis.Redis, worker: Worker) -> None:
        assert clients.say(NEW, f"shout.delay({SECRET!r}).get(timeout=20)") == SECRET.upper()

    def test_of_a_chord(self, clients: Clients, client: redis.Redis, worker: Worker) -> None:
        assert clients.say(NEW, "shout_together(['a', 'b', 'c']).get(timeout=20)") == "A B C"

    def test_of_an_error(self, clients: Clients, client: redis.Redis, worker: Worker) -> None:
        answer = clients.say(NEW, "repr(fail.delay('why').get(timeout=20, propagate=False))")
        assert answer == "ValueError('why')"

    @pytest.mark.parametrize("keys", [OLD, f"{OLD},{NEW}", f"{NEW},{OLD}"], ids=["before", "during", "after"])
    def test_while_keys_are_rotated(self, clients: Clients, client: redis.Redis, worker: Worker, keys: str) -> None:
        sent = clients.say(keys, "shout.delay('x').id")
        assert clients.say(f"{NEW},{OLD}", f"app.AsyncResult({sent!r}).get(timeout=20)") == "X"

    def test_nothing_can_be_read_in_redis(self, clients: Clients, client: redis.Redis) -> None:
        clients.say(NEW, f"shout.apply_async(({SECRET!r},), queue='idle', argsrepr='', kwargsrepr='').id")
        assert client.llen("idle") == 1
        [body] = [json.loads(stored)["body"] for stored in client.lrange("idle", 0, -1)]
        seen = everything_in(client) + body.encode()
        assert not any(part in seen for part in (b"chunk", encoded(SECRET).encode()[:12], SECRET.encode()))


class TestRefusals:
    def test_a_task_that_is_not_encrypted(self, client: redis.Redis, worker: Worker) -> None:
        client.lpush("default", raw(message([["x"], {}, {}], task="shout")))
        assert eventually(lambda: count(client) == 1)
        assert dead_messages(client)[0].reason == "its content type is not accepted"
        assert eventually(lambda: not client.exists("default", "unacked"))  # acknowledged after it was kept

    @pytest.mark.parametrize("content_type", ["application/data", "application/text", None])
    def test_a_task_that_claims_to_need_no_decoding(
        self, client: redis.Redis, worker: Worker, content_type: str | None
    ) -> None:
        """kombu takes these types for harmless, whatever is accepted."""
        sent = message([["x"], {}, {}], task="shout") | {"content-type": content_type}
        client.lpush("default", raw(sent))
        assert eventually(lambda: count(client) == 1)
        assert not client.exists(f"celery-task-meta-{sent['headers']['id']}")

    def test_a_task_with_a_foreign_key(self, clients: Clients, client: redis.Redis, worker: Worker) -> None:
        clients.say(FOREIGN, "shout.delay('x').id")
        assert eventually(lambda: count(client) == 1)
        assert dead_messages(client)[0].reason == "not encrypted with a key of ours"

    def test_an_old_task_claims_protocol_1(self, client: redis.Redis, worker: Worker) -> None:
        sent = {**message({"task": "shout", "id": "1", "args": ["x"], "kwargs": {}}), "headers": {}}
        client.lpush("default", raw(sent))
        assert eventually(lambda: count(client) == 1)
        assert not client.exists("celery-task-meta-1")

    def test_a_result_that_is_not_encrypted(self, clients: Clients, client: redis.Redis) -> None:
        plain = {"status": "SUCCESS", "result": "forged", "traceback": None, "children": [], "task_id": "1"}
        client.set("celery-task-meta-1", json.dumps(plain))
        answer = clients.say(NEW, "app.AsyncResult('1').get(timeout=10)")
        assert answer.startswith("DecodeError: A message is not encrypted with a key of ours")

    def test_a_command_that_is_not_encrypted(self, clients: Clients, client: redis.Redis, worker: Worker) -> None:
        """An app without keys gets no answer, and cannot stop the worker."""
        assert clients.say("", "app.control.ping(timeout=1)") == []
        clients.say("", "app.control.shutdown()")
        assert count(client) == 0
        assert clients.say(NEW, "shout.delay('alive').get(timeout=20)") == "ALIVE"


class TestOperation:
    def test_commands(self, clients: Clients, client: redis.Redis, worker: Worker) -> None:
        [answer] = clients.say(NEW, "app.control.ping(timeout=3, limit=1)")
        assert list(answer.values()) == [{"ok": "pong"}]
        inspected = clients.say(NEW, "app.control.inspect(timeout=3, limit=1).registered()")
        assert "shout" in next(iter(inspected.values()))

    def test_events_as_flower_gets_them(self, server: RedisServer, client: redis.Redis, worker: Worker) -> None:
        program = """
import json, threading, time
from encrypted_app import *
seen, wanted = [], {"task-sent", "task-received", "task-started", "task-succeeded"}
def send_until_seen():
    while not wanted <= set(seen):
        shout.delay("x")
        time.sleep(0.5)
def on_event(event):
    seen.append(event["type"])
    if wanted <= set(seen):
        raise SystemExit
with app.connection_for_read() as connection:
    receiver = app.events.Receiver(connection, handlers={"*": on_event})
    threading.Thread(target=send_until_seen, daemon=True).start()
    try:
        receiver.capture(limit=None, timeout=20)
    except SystemExit:
        pass
print("all" if wanted <= set(seen) else seen)
"""
        env = {**os.environ, "PYTHONPATH": str(HERE), "TEST_REDIS": server.url, "TEST_KEYS": NEW}
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout == "all\n"


class TestSettings:
    def test_a_key_that_is_none(self) -> None:
        with pytest.raises(InvalidSettings, match="key 2 of 2 is not a Fernet key; make one with python") as refused:
            celery_settings([NEW, "secret-but-wrong"])
        assert "secret-but-wrong" not in str(refused.value)

    def test_without_the_cryptography_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
        with pytest.raises(InvalidSettings, match=r"pip install 'smart-rag-tasks\[encryption\]'"):
            celery_settings([NEW])

    def test_the_application_takes_its_keys_from_the_environment(self, tmp_path: Path) -> None:
        program = "from smart_rag_tasks import app; print(app.conf.task_serializer, *app.conf.accept_content)"
        env = {**os.environ, "SMART_RAG_PAYLOAD_KEYS": f"{NEW}, {OLD}", "SMART_RAG_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.stdout == "fernet-json fernet-json\n", done.stderr
