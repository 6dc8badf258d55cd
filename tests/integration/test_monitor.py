"""The monitor on a real Redis and real workers: it counts right, ends in time, purges one queue, loses no document."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from desk import SECRET, Desk, eventually, free_port

from smart_rag_tasks import names
from smart_rag_tasks.errors import BrokerUnreachable, InvalidInput
from smart_rag_tasks.monitoring import CeleryMonitor
from smart_rag_tasks.monitoring.broker import open_broker
from smart_rag_tasks.settings import load


def monitor_of(desk: Desk, **settings: Any) -> CeleryMonitor:
    """A monitor with an app of its own: nothing of this process's environment gets in."""
    url = desk.redis.url
    app = Celery("desk", broker=url, backend=url, set_as_current=False)
    app.conf.redbeat_redis_url = url
    return CeleryMonitor(app, load(home=desk.folder / "home", redis_url=url, **settings))


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk without workers: messages stay where they are."""
    made = Desk(tmp_path_factory.mktemp("still"))
    yield made
    made.close()


@pytest.fixture
def quiet(still: Desk) -> Iterator[Desk]:
    """The same with an empty Redis before each test."""
    redis.Redis.from_url(still.redis.url).flushall()
    yield still


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("live"))
    try:
        made.worker()
        yield made
    finally:
        made.close()


def send(desk: Desk, task: str, *args: Any, queue: str, **options: Any) -> str:
    """As an application of somebody else's would; gives the task's id."""
    url = desk.redis.url
    with Celery(broker=url, backend=url, set_as_current=False) as app:
        return str(app.send_task(task, args, queue=queue, **options).id)


# -- queues


def test_an_empty_queue_has_length_0_and_all_priorities_count(quiet: Desk) -> None:
    monitor = monitor_of(quiet)
    assert monitor.get_queue_length("metadata_queue") == 0
    for priority in (0, 3, 9, 9):
        send(quiet, "any.task", queue="metadata_queue", priority=priority)
    send(quiet, "any.task", queue="default")
    assert monitor.get_queue_length("metadata_queue") == 4
    states = {state.name: state for state in monitor.get_queues()}
    assert states["metadata_queue"].priorities == {0: 1, 3: 1, 9: 2}
    assert states["default"].waiting == 1
    with pytest.raises(InvalidInput, match="no such queue"):
        monitor.get_queue_length("mistyped")


def test_looking_leaves_nothing_behind(quiet: Desk) -> None:
    monitor = monitor_of(quiet)
    monitor.get_queue_length()
    monitor.get_queues()
    assert redis.Redis.from_url(quiet.redis.url).keys("*") == []


def test_the_age_is_the_oldest_message_s(quiet: Desk) -> None:
    quiet.submit("old.md", ["a"], wait=False)
    time.sleep(1.2)
    quiet.submit("new.md", ["a"], wait=False)
    state = {each.name: each for each in monitor_of(quiet).get_queues()}["intake_queue"]
    assert state.waiting == 2
    assert state.oldest_seconds is not None
    assert 1.2 <= state.oldest_seconds < 60
    unsigned = json.dumps({"body": "", "headers": {"id": "x"}, "properties": {}})  # by somebody who does not say when
    redis.Redis.from_url(quiet.redis.url).lpush("default", unsigned)
    assert {each.name: each for each in monitor_of(quiet).get_queues()}["default"].oldest_seconds is None


def test_messages_in_workers_hands_are_counted_by_queue(quiet: Desk) -> None:
    client = redis.Redis.from_url(quiet.redis.url)
    for number, queue in enumerate(["metadata_queue", "metadata_queue", "default"]):
        message = {"body": "x" * 5000, "headers": {}, "properties": {"delivery_tag": str(number)}}
        client.hset("unacked", str(number), json.dumps([message, "default", queue]))
    client.hset("unacked", "broken", b"\xff not json")
    states = {state.name: state.unacknowledged for state in monitor_of(quiet).get_queues()}
    assert states == {**dict.fromkeys(names.QUEUES, 0), "metadata_queue": 2, "default": 1}


def test_queue_lengths_of_a_real_worker_s_messages(live: Desk) -> None:
    live.submit("held.md", [f"WAIT 0.4 {number}" for number in range(30)], wait=False)
    monitor = monitor_of(live)
    state = eventually(lambda: [each for each in monitor.get_queues() if each.unacknowledged])
    assert state[0].name == "metadata_queue"
    assert eventually(lambda: monitor.get_queue_length("metadata_queue") == 0)


# -- purge


def test_purge_takes_one_queue_and_pauses_its_documents(quiet: Desk) -> None:
    runs = [quiet.submit(name, ["a"], wait=False) for name in ("one.md", "two.md")]
    other = send(quiet, "any.task", queue="metadata_queue", priority=9)
    refused = quiet.rag("monitor", "purge", "intake_queue", check=False, input="n\n")
    assert refused.returncode == 1
    assert "Remove 2 messages from intake_queue" in refused.stderr
    assert monitor_of(quiet).get_queue_length("intake_queue") == 2
    done = json.loads(quiet.rag("monitor", "purge", "intake_queue", "--yes", "--json").stdout)
    assert (done["messages"], done["documents"]) == (2, ["one.md", "two.md"])
    monitor = monitor_of(quiet)
    assert monitor.get_queue_length("intake_queue") == 0
    assert monitor.get_queue_length("metadata_queue") == 1
    assert monitor.get_task_info(other)["where"] == "metadata_queue"
    assert [monitor.get_task_info(run)["run"]["status"] for run in runs] == ["paused", "paused"]


def test_a_purged_document_is_finished_after_resume(live: Desk) -> None:
    run_id = live.submit("purged.md", [f"WAIT 0.2 purge {number}" for number in range(40)], wait=False)
    monitor = monitor_of(live)
    assert eventually(lambda: monitor.get_queue_length("metadata_queue") > 2)
    purged = monitor.purge_queue("metadata_queue")
    assert purged.messages > 0
    assert purged.documents == {"purged.md"}
    time.sleep(5)  # several sweeps: none of them must send the messages again
    assert monitor.get_task_info(run_id)["run"]["status"] == "paused"
    live.rag("resume", "purged.md")
    assert eventually(lambda: monitor.get_task_info(run_id)["state"] == "SUCCESS", 60)
    run = monitor.get_task_info(run_id)["run"]
    assert (run["status"], run["done"] + run["unchanged"]) == ("completed", 40)


def test_purge_stores_a_document_that_only_its_message_had(quiet: Desk) -> None:
    chunks = [{"chunk_id": "c", "text": SECRET}]
    run_id = send(quiet, names.PROCESS_DOCUMENT_PIPELINE, "foreign.md", chunks, queue="intake_queue")
    bad = send(quiet, names.PROCESS_DOCUMENT_PIPELINE, "bad.md", [{"text": 5}], queue="intake_queue")
    monitor = monitor_of(quiet)
    purged = monitor.purge_queue("intake_queue")
    assert purged.documents == {"foreign.md"}
    assert purged.dropped == {names.PROCESS_DOCUMENT_PIPELINE: 1}
    assert monitor.get_task_info(run_id)["run"]["status"] == "paused"
    assert monitor.get_task_info(bad)["state"] == "REVOKED"


def test_who_waits_for_a_purged_task_is_told(quiet: Desk) -> None:
    chunk = send(quiet, names.GENERATE_METADATA_FOR_CHUNK, "c", SECRET, "d", queue="metadata_queue")
    send(quiet, names.EXPIRE, queue="maintenance")
    monitor = monitor_of(quiet)
    assert monitor.purge_queue("metadata_queue").dropped == {names.GENERATE_METADATA_FOR_CHUNK: 1}
    assert monitor.get_task_info(chunk)["state"] == "REVOKED"
    assert monitor.purge_queue("maintenance").dropped == {names.EXPIRE: 1}
    assert monitor.purge_queue("maintenance").messages == 0


def test_purge_of_an_unknown_queue_is_refused(quiet: Desk) -> None:
    done = quiet.rag("monitor", "purge", "mistyped", "--yes", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"there are {', '.join(names.QUEUES)}" in done.stderr


# -- tasks


def test_pending_is_told_from_unknown(quiet: Desk) -> None:
    run_id = quiet.submit("waiting.md", ["a"], wait=False)
    waiting = send(quiet, "any.task", queue="default")
    monitor = monitor_of(quiet)
    assert monitor.get_task_info(run_id)["state"] == "PENDING"
    assert monitor.get_task_info(run_id)["run"]["document_id"] == "waiting.md"
    info = monitor.get_task_info(waiting)
    assert (info["known"], info["state"], info["where"]) == (True, "PENDING", "default")
    assert monitor.get_task_info("no-such-id")["known"] is False
    done = quiet.rag("monitor", "task", "no-such-id", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_failed_and_broken_results_are_plain_json(quiet: Desk) -> None:
    monitor = monitor_of(quiet)
    backend: Any = monitor.app.backend
    backend.mark_as_failure("failed", ValueError("why"), traceback="Traceback: here")
    backend.store_result("broken", {"error": "set by hand"}, "SUCCESS")
    raw = json.loads(backend.get(backend.get_key_for_task("broken"))) | {"status": "FAILURE"}
    backend.set(backend.get_key_for_task("broken"), json.dumps(raw))
    info = monitor.get_task_info("failed")
    assert (info["state"], info["error"], info["traceback"]) == ("FAILURE", "ValueError: why", "Traceback: here")
    assert monitor.get_task_info("broken")["error"] == "a failure that cannot be read: its task set the state itself"
    json.dumps([info, monitor.get_task_info("broken")])


def test_what_workers_say(live: Desk) -> None:
    monitor = monitor_of(live)
    live.submit("busy.md", [f"WAIT 0.5 busy {number}" for number in range(20)], wait=False)
    stats = eventually(lambda: [found for found in [monitor.get_worker_stats()] if "busy.md" in str(found)])[0]
    assert stats["active_workers"] == 1
    worker = next(iter(stats["workers"]))
    assert set(stats["workers"][worker]["queues"]) == set(names.QUEUES)
    assert stats["workers"][worker]["concurrency"] == 2
    assert 0.001 < stats["workers"][worker]["memory"]["fraction"] < 1
    assert names.GENERATE_BATCH in stats["registered_tasks"][worker]
    assert SECRET not in json.dumps(stats)
    assert {"busy.md"} & {part.strip("('") for part in stats["active_tasks"][worker][0]["args"].split("',")}


def test_cancel_ends_a_run_and_refuses_its_parts(live: Desk) -> None:
    monitor = monitor_of(live)
    run_id = live.submit("cancel.md", [f"WAIT 1 cancel {number}" for number in range(60)], wait=False)
    parts = eventually(
        lambda: [each for tasks in monitor.get_worker_stats()["active_tasks"].values() for each in tasks]
    )
    with pytest.raises(InvalidInput, match=r"part of run|no such task"):
        monitor.cancel_task(parts[0]["id"])
    done = live.rag("monitor", "cancel", run_id)
    assert "run of cancel.md is cancelled" in done.stdout
    assert monitor.get_task_info(run_id)["run"]["status"] == "cancelled"
    with pytest.raises(InvalidInput, match="it is cancelled"):
        monitor.cancel_task(run_id)
    with pytest.raises(InvalidInput, match="no such task"):
        monitor.cancel_task("no-such-id")


# -- health


def test_without_workers_every_answer_comes_in_time(quiet: Desk) -> None:
    monitor = monitor_of(quiet)
    begin = time.monotonic()
    assert monitor.get_worker_stats()["active_workers"] == 0
    health = monitor.health_check()
    assert time.monotonic() - begin < 8
    assert health["status"] == "unhealthy"
    assert "workers: no worker answers" in health["reason"]
    failed = {check["name"] for check in health["checks"] if not check["ok"]}
    assert {"workers", "queues", "beat"} <= failed
    assert not failed & {"broker", "result backend", "disk", "redis memory"}


@pytest.fixture
def shop(quiet: Desk) -> Iterator[Desk]:
    """No worker of ours, and one of another application that uses us."""
    quiet.start("shop", "celery", "-A", "host_shop", "worker", "-n", "shop@%h", "-c", "1")
    assert eventually(lambda: " ready." in quiet.text("shop")), quiet.text("shop")
    yield quiet
    quiet.stop("shop")


def test_workers_of_another_application_are_none_of_ours(shop: Desk) -> None:
    monitor = monitor_of(shop)
    assert any("shop@" in name for name in monitor.app.control.inspect(timeout=2, limit=1).ping())
    assert monitor.get_worker_stats()["active_workers"] == 0
    assert monitor.health_check("live")["status"] == "unhealthy"
    assert "workers: no worker answers" in monitor.health_check()["reason"]
    shop.worker("ours")
    try:
        found = json.loads(shop.rag("doctor", "--json", check=False).stdout)["system"]
        assert list(monitor.get_worker_stats()["workers"]) == [f"ours@{socket.gethostname()}"]
    finally:
        shop.stop("ours")
    assert "KeyError" not in shop.text("shop")
    deploy = {each["name"]: each for each in found}["deploy"]
    assert (deploy["state"], deploy["detail"]) == ("ok", "1 worker asked, all tasks known")


def test_a_worker_that_hangs_costs_the_time_limit_and_no_more(quiet: Desk) -> None:
    with open_broker(monitor_of(quiet).app) as broker:
        assert broker.client is not None
        broker.client.sadd("_kombu.binding.celery.pidbox", "\x06\x16\x06\x16gone@host.celery.pidbox")
    begin = time.monotonic()
    assert monitor_of(quiet).get_worker_stats()["active_workers"] == 0
    assert 1.4 < time.monotonic() - begin < 6


def test_with_redis_away_it_says_so(still: Desk) -> None:
    away = f"redis://:hidden@127.0.0.1:{free_port()}/0"
    done = still.rag("monitor", "purge", "default", "--yes", check=False, REDIS_URL=away)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "does not answer" in done.stderr
    assert "hidden" not in done.stderr
    health = still.rag("monitor", "health", check=False, REDIS_URL=away)
    assert health.returncode == 1
    lines = health.stdout.splitlines()
    assert {line.split()[0] for line in lines if line[0] != " "} == {"OK", "FAIL"}
    assert max(map(len, lines)) <= 80
    assert still.rag("monitor", "health", "--live", REDIS_URL=away).returncode == 0
    with pytest.raises(BrokerUnreachable):
        CeleryMonitor(Celery(broker=away, set_as_current=False), load(home=still.folder)).get_queues()


def test_a_healthy_system_and_what_each_failure_looks_like(live: Desk) -> None:
    live.start("beat", "celery", "-A", "smart_rag_tasks", "beat")
    monitor = monitor_of(live)
    health = eventually(lambda: [found for found in [monitor.health_check()] if found["status"] == "healthy"], 60)
    assert health, monitor.health_check()
    assert [check["name"] for check in health[0]["checks"]] == [
        *("broker", "result backend", "store", "schema", "workers", "queues", "beat", "sinks", "disk", "redis memory")
    ]
    assert health[0]["active_workers"] == 1
    assert live.rag("monitor", "health", "--ready").returncode == 0
    assert monitor.health_check("live")["status"] == "healthy"
    client = redis.Redis.from_url(live.redis.url)
    client.config_set("maxmemory", 10_000_000_000)
    client.config_set("maxmemory-policy", "allkeys-lru")
    assert "redis memory: may throw messages away" in monitor.health_check()["reason"]
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 0)


def test_a_worker_of_some_queues_leaves_the_others_unserved(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    try:
        desk.worker("part", "-Q", "priority_queue,maintenance", "-c", "1")
        found = desk.rag("monitor", "health", "--ready", check=False)
        assert found.returncode == 1
        assert "nobody serves default, metadata_queue, intake_queue" in found.stdout
        served = monitor_of(desk).get_consumers()
        assert served["default"] == []
        assert served["priority_queue"]
        desk.stop("part")
        assert desk.rag("monitor", "health", "--live", check=False).returncode == 1
    finally:
        desk.close()
