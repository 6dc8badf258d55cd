"""The guarded channel and consumer: a real Redis, real prefork workers, messages of every bad kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import chord
from malformed_messages import MALFORMED, message, raw
from worker_process import HERE, Worker, eventually, result_of, running

from smart_rag_tasks.dead_list import DEAD_LIST, count, dead_messages, forget, requeue
from smart_rag_tasks.errors import InvalidInput
from smart_rag_tasks.redis_server import RedisServer
from smart_rag_tasks.transport import Guard


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def worker(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One guarded worker for most tests."""
    with running("guarded_app", tmp_path_factory.mktemp("worker") / "guarded.log", TEST_REDIS=server.url) as worker:
        yield worker


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="module")
def app(server: RedisServer) -> Any:
    os.environ["TEST_REDIS"] = server.url
    sys.path.insert(0, str(HERE))
    import guarded_app

    return guarded_app


def send(client: redis.Redis, sent: dict[str, Any]) -> str:
    """Its task id."""
    client.lpush(sent["properties"]["delivery_info"]["routing_key"], raw(sent))
    return id_of(sent)


def id_of(message: dict[str, Any]) -> str:
    return str(message["headers"]["id"])


def both_slots_work(client: redis.Redis) -> bool:
    pair = [send(client, message([names, {}, {}], task="meet")) for names in (["a", "b"], ["b", "a"])]
    return [result_of(client, sent) for sent in pair] == [True, True]


class TestMalformedMessages:
    def test_all_are_put_aside_and_the_worker_goes_on(self, client: redis.Redis, worker: Worker) -> None:
        for bad in MALFORMED.values():
            client.lpush("default", bad)
        last = send(client, message([[20, 22], {}, {}]))
        assert result_of(client, last) == 42
        assert eventually(lambda: count(client) == len(MALFORMED)), worker.text()[-3000:]
        assert not worker.died()
        assert both_slots_work(client)

        dead = {kept.raw[:2000]: kept for kept in dead_messages(client, 1000)}
        missing = [name for name, bad in MALFORMED.items() if bad[:2000] not in dead]
        assert missing == []
        assert {kept.queue for kept in dead.values()} == {"default"}
        assert "Connection to broker lost" not in worker.text()
        assert eventually(lambda: not client.exists("default", "unacked", "unacked_index"))
        assert 0 < client.ttl(DEAD_LIST) <= 7 * 86_400

    def test_broadcasts(self, client: redis.Redis, worker: Worker, app: Any) -> None:
        bodies = [MALFORMED["body is a number"], raw(message({})), raw(message({"destination": 5}))]
        for bad in [b"no JSON", b"[]", b"{}", MALFORMED["bad base64"], *bodies]:
            assert eventually(lambda bad=bad: client.publish("/0.celery.pidbox", bad))  # it listens soon
            assert eventually(lambda bad=bad: client.publish("/0.celeryev/worker.heartbeat", bad))
        with app.app.connection_for_write() as connection:  # a new one: the flush has taken what others have declared
            answers = app.app.control.ping(timeout=5.0, limit=1, connection=connection)
        assert [next(iter(answer.values())) for answer in answers] == [{"ok": "pong"}], worker.text()[-3000:]
        assert "Control command error" not in worker.text()  # Celery would listen anew, deaf meanwhile
        assert result_of(client, send(client, message())) == 3

    def test_logs_and_reasons_quote_nothing(self, client: redis.Redis, worker: Worker) -> None:
        secret = "the text of a chunk"
        client.lpush("default", f"{secret} is no JSON")
        send(client, message([[secret, 2], {}, {}], task="no.such.task"))
        send(client, message([secret, 2]))
        send(client, message([[secret], {}, {}], eta=secret))
        assert eventually(lambda: count(client) == 4)
        assert secret not in worker.text()
        assert not any(secret in kept.reason for kept in dead_messages(client))

    def test_an_unknown_task_is_told_to_the_caller_unless_it_is_ours(self, client: redis.Redis, worker: Worker) -> None:
        theirs = send(client, message(task="no.such.task"))
        ours = send(client, message(task="smart_rag_tasks.of_the_next_version"))
        assert eventually(lambda: count(client) == 2)
        assert result_of(client, theirs)["exc_type"] == "NotRegistered"
        assert not client.exists(f"celery-task-meta-{ours}")
        assert [kept.task for kept in dead_messages(client)] == ["smart_rag_tasks.of_the_next_version", "no.such.task"]


class TestWorkersWithoutGuard:
    @pytest.fixture
    def own(self, tmp_path: Path) -> Iterator[RedisServer]:
        with RedisServer(tmp_path / "redis") as server:
            yield server

    @pytest.mark.parametrize("kind", ["not JSON", "bad base64", "wrong body shape"])
    def test_die(self, own: RedisServer, tmp_path: Path, kind: str) -> None:
        """Why the guard is there; the day this fails, some of it can go."""
        with running("guarded_app", tmp_path / "plain.log", TEST_REDIS=own.url, GUARD="no") as worker:
            redis.Redis.from_url(own.url).lpush("default", MALFORMED[kind])
            assert eventually(worker.died)

    def test_what_they_left_unacknowledged_stops_no_start(self, own: RedisServer, tmp_path: Path) -> None:
        client = redis.Redis.from_url(own.url)
        left = {
            "garbage": b"no JSON",
            "short": b"[1]",
            "no message": json.dumps([[1], "", "default"]).encode(),
            "no way": json.dumps([message(), {"a": 1}, None]).encode(),
            "wrong body shape": json.dumps([message([1, 2]), "", "default"]).encode(),
            "good": json.dumps([good := message(), "", "default"]).encode(),
        }
        for tag, stored in left.items():
            client.hset("unacked", tag, stored)
            client.zadd("unacked_index", {tag: time.time() - 60})
        with running("guarded_app", tmp_path / "guarded.log", TEST_REDIS=own.url) as worker:
            assert result_of(client, id_of(good)) == 3
            assert eventually(lambda: count(client) == len(left) - 1), worker.text()[-3000:]
            assert eventually(lambda: not client.exists("unacked", "unacked_index"))


class TestChannel:
    @pytest.mark.parametrize("scheme", ["redis", "rediss", "sentinel"])
    def test_is_installed_under_kombus_own_names(self, app: Any, scheme: str) -> None:
        from kombu import Connection

        transport = Connection(f"{scheme}://127.0.0.1").get_transport_cls()
        assert issubclass(transport.Channel, Guard)
        assert transport.driver_type == "redis"

    def test_prefixed_keys_and_priorities(self, server: RedisServer, client: redis.Redis, app: Any) -> None:
        from kombu import Connection, Consumer, Queue

        got: list[int] = []
        options = {"global_keyprefix": "rag:"}
        with Connection(server.url, transport_options=options) as connection:
            consumer = Consumer(connection, [Queue("q", exchange="")], on_message=lambda _: got.append(1))
            client.lpush("rag:q\x06\x163", b"no JSON")
            client.lpush("rag:q\x06\x169", raw(message(queue="q")))
            with consumer:
                connection.drain_events(timeout=5)
        assert got == [1]
        [kept] = dead_messages(client, key="rag:" + DEAD_LIST)
        assert (kept.queue, kept.reason) == ("q", "not JSON")

    @pytest.mark.parametrize("prefix", ["", "rag:"])
    def test_lengths_are_of_all_priorities_under_the_prefix(
        self, server: RedisServer, client: redis.Redis, app: Any, prefix: str
    ) -> None:
        from celery import Celery

        from smart_rag_tasks.transport import queue_lengths

        sender = Celery("prefixed", broker=server.url, set_as_current=False)
        sender.conf.broker_transport_options = {"global_keyprefix": prefix}
        for priority in (0, 3, 9):
            sender.send_task("any", queue="idle", priority=priority)
        with queue_lengths(sender) as length:
            assert (3, 0) == (length("idle"), length("nobody_declared_it"))

    def test_an_answer_under_a_prefix_expires_too(self, server: RedisServer, client: redis.Redis, app: Any) -> None:
        from kombu import Connection

        with Connection(server.url, transport_options={"global_keyprefix": "rag:"}) as connection:
            channel: Any = connection.default_channel
            channel._put("gone.reply.celery.pidbox", {"properties": {"priority": 0}})
        assert 0 < client.ttl("rag:gone.reply.celery.pidbox") <= 300


class TestRequeue:
    def test_goes_back_to_its_queue_and_runs(self, client: redis.Redis, worker: Worker) -> None:
        """Half a deploy: the old worker does not know the task, the new one does."""
        from smart_rag_tasks.dead_list import bury

        sent = message()
        bury(client, "default", "unknown task", raw(sent))
        [kept] = dead_messages(client)
        assert requeue(client, kept.id) == "default"
        assert count(client) == 0
        assert result_of(client, id_of(sent)) == 3

    def test_refuses_what_was_not_kept_whole(self, client: redis.Redis) -> None:
        from smart_rag_tasks.dead_list import bury

        bury(client, "default", "huge", b"x" * 100_000)
        [kept] = dead_messages(client)
        assert (len(kept.raw), kept.size) == (65_536, 100_000)
        with pytest.raises(InvalidInput, match="65536 of 100000"):
            requeue(client, kept.id)
        assert forget(client, [kept.id]) == 1
        with pytest.raises(InvalidInput, match="no dead message"):
            requeue(client, kept.id)
        with pytest.raises(InvalidInput, match="no dead message"):
            forget(client, ["nonsense"])


class TestBounds:
    def test_number(self, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        from smart_rag_tasks import dead_list

        monkeypatch.setattr(dead_list, "LIMIT", 200)
        for number in range(1000):
            dead_list.bury(client, "default", "not JSON", str(number).encode())
        assert 200 <= count(client) <= 300  # Redis drops whole nodes of 100
        assert dead_messages(client, 1)[0].raw == b"999"
        assert forget(client) >= 200
        assert count(client) == 0

    def test_bytes(self, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        from smart_rag_tasks import dead_list

        monkeypatch.setattr(dead_list, "MAX_BYTES", 1_000_000)
        for _ in range(100):
            dead_list.bury(client, "default", "huge", os.urandom(65_536))
        assert client.memory_usage(DEAD_LIST) < 1_300_000
        assert count(client) >= 5


class TestBatchPublishing:
    def round_trips(self, monkeypatch: pytest.MonkeyPatch, publish: Callable[[], Any]) -> int:
        """How often this process writes tasks to Redis during ``publish()``."""
        sent: list[int] = []
        send = redis.connection.AbstractConnection.send_packed_command

        def counting(connection: Any, command: Any, check_health: bool = True) -> Any:
            sent.extend([1] if b"LPUSH" in b"".join(command) else [])
            return send(connection, command, check_health)

        with monkeypatch.context() as patch:
            patch.setattr(redis.connection.AbstractConnection, "send_packed_command", counting)
            publish()
        return len(sent)

    def test_a_chord_of_50(self, client: redis.Redis, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from smart_rag_tasks.transport import batch_publishing

        def one_by_one() -> None:
            chord(app.add.si(1, i).set(queue="idle") for i in range(50))(app.total.s())

        def at_once() -> None:
            with batch_publishing(app.app):
                one_by_one()

        one_by_one(), at_once()  # connections are made
        client.delete("idle")
        assert self.round_trips(monkeypatch, one_by_one) == 50
        assert self.round_trips(monkeypatch, at_once) == 1
        assert client.llen("idle") == 100

    def test_a_task_replaced_by_a_chord(self, client: redis.Redis, worker: Worker, app: Any) -> None:
        assert app.fan_out_batched.delay(50).get(timeout=30) == sum(range(50)) + 50

    def test_nothing_is_sent_when_the_block_raises(self, client: redis.Redis, app: Any) -> None:
        from smart_rag_tasks.transport import batch_publishing

        with pytest.raises(RuntimeError), batch_publishing(app.app):
            app.add.apply_async((1, 2), queue="idle")
            raise RuntimeError
        assert client.llen("idle") == 0

    def test_broker_client(self, client: redis.Redis, app: Any) -> None:
        from smart_rag_tasks.transport import broker_client

        with broker_client(app.app) as found:
            assert count(found) == 0


class TestTheProduct:
    NINE = tuple(MALFORMED)[:9]
    PROGRAM = """
from smart_rag_tasks import process_document_pipeline
chunks = [{"chunk_id": "1", "text": "Redis keeps the queues. Celery runs the tasks."}]
print(process_document_pipeline.delay("a document", chunks).get(timeout=40)["final_status"])
"""

    def test_nine_kinds_on_each_queue(self, tmp_path: Path) -> None:
        from smart_rag_tasks.names import QUEUES

        with RedisServer(tmp_path / "redis") as own:
            env = {"REDIS_URL": own.url, "SMART_RAG_HOME": str(tmp_path / "home")}
            client = redis.Redis.from_url(own.url)
            with running("smart_rag_tasks", tmp_path / "product.log", **env) as worker:
                for queue in QUEUES:
                    for kind in self.NINE:
                        client.lpush(queue, MALFORMED[kind])
                done = subprocess.run(
                    [sys.executable, "-c", self.PROGRAM],
                    env={**os.environ, **env},
                    cwd=tmp_path,
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                assert done.stdout == "completed\n", done.stderr + worker.text()[-3000:]
                assert eventually(lambda: count(client) == len(QUEUES) * len(self.NINE))
                assert not worker.died()
        assert "Connection to broker lost" not in worker.text()
