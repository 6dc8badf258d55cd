"""Alerts of a real system: a worker is killed and started again, and somebody is told, once."""

from __future__ import annotations

import http.server
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest.mock
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import yaml
from celery import Celery
from desk import PASSWORD, SECRET, Desk, eventually, free_port

from smart_rag_tasks.errors import BrokerUnreachable
from smart_rag_tasks.monitoring import alerts, exporter, webhook
from smart_rag_tasks.monitoring.alert_states import FIRING, PENDING, RESOLVED
from smart_rag_tasks.monitoring.checks import Subject
from smart_rag_tasks.settings import load


@pytest.fixture
def told() -> Iterator[dict[str, Any]]:
    """A webhook that can be made to refuse: ``url``, ``notices``, ``status``."""
    state: dict[str, Any] = {"notices": [], "status": 204, "signed": []}

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            expected = webhook.signature("secret", self.headers["X-Smart-Rag-Timestamp"], body)
            state["signed"].append(self.headers["X-Smart-Rag-Signature"] == expected)
            if state["status"] == 204:
                state["notices"].append(json.loads(body))
            self.send_response(state["status"])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state["url"] = f"http://127.0.0.1:{server.server_port}/"
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def desk(tmp_path: Path, told: dict[str, Any]) -> Iterator[Desk]:
    rules = {"worker_down": {"for": 2}, "queue_length": {"threshold": 3, "for": 0}}
    made = Desk(
        tmp_path,
        SMART_RAG_ALERTS=json.dumps(rules),
        SMART_RAG_ALERT_WEBHOOK=told["url"],
        SMART_RAG_ALERT_WEBHOOK_SECRET="secret",
        SMART_RAG_ALERT_WEBHOOK_HOSTS="127.0.0.1",
    )
    yield made
    made.close()


def subject_of(desk: Desk, told: dict[str, Any], **changes: Any) -> Subject:
    url = desk.redis.url
    app = Celery("desk", broker=url, backend=url, set_as_current=False)
    app.conf.redbeat_redis_url = url
    settings = {
        "home": desk.folder / "home", "redis_url": url, "alert_webhook": told["url"],
        "alert_webhook_hosts": "127.0.0.1",
        "alert_webhook_secret": "secret", "alerts": json.loads(desk.env["SMART_RAG_ALERTS"]),
    }  # fmt: skip
    return Subject(app, load(**{**settings, **changes}))


def test_a_worker_that_dies_is_told_once_and_its_return_too(desk: Desk, told: dict[str, Any]) -> None:
    desk.worker("first")
    desk.start_rag("exporter", "exporter", f"--port={free_port()}", "--alerts-every=1")
    assert eventually(lambda: "metrics at" in desk.text("exporter"))
    time.sleep(3)
    assert told["notices"] == []
    desk.stop("first", signal.SIGKILL)
    killed = time.monotonic()
    assert eventually(lambda: told["notices"], 30), desk.text("exporter")
    assert time.monotonic() - killed < 20
    desk.worker("second")
    assert eventually(lambda: len(told["notices"]) == 2, 30)
    time.sleep(3)
    notices = [(notice["rule"], notice["state"], notice["severity"]) for notice in told["notices"]]
    assert notices == [("worker_down", FIRING, "critical"), ("worker_down", RESOLVED, "critical")]
    assert all(told["signed"])
    assert "no worker answers" in desk.text("exporter")


def test_states_outlive_processes_and_one_at_a_time_evaluates(desk: Desk, told: dict[str, Any]) -> None:
    for number in range(5):
        desk_client(desk).lpush("default", json.dumps({"headers": {"id": str(number)}}))
    now = time.time()
    first = alerts.evaluate(subject_of(desk, told), interval=0.001, now=now)
    assert first is not None
    assert {alert.rule: alert.state for alert in first.alerts.values()} == {
        "worker_down": PENDING,
        "queue_length": FIRING,
    }
    assert [notice["message"] for notice in told["notices"]] == ["5 messages wait in default (limit 3)"]
    desk_client(desk).delete("default")
    again = alerts.evaluate(subject_of(desk, told), interval=30, now=now + 5)  # another process
    assert again is not None
    assert {notice.rule: notice.state for notice in again.notices} == {"worker_down": FIRING, "queue_length": RESOLVED}
    assert alerts.evaluate(subject_of(desk, told), interval=30) is None  # somebody just did
    assert len(told["notices"]) == 3


def test_a_notice_waits_for_a_webhook_that_is_away(desk: Desk, told: dict[str, Any]) -> None:
    told["status"] = 500
    subject, now = subject_of(desk, told), time.time()
    alerts.evaluate(subject, interval=0.001, now=now)
    failed = alerts.evaluate(subject, interval=0.001, now=now + 3)
    assert failed is not None
    assert (failed.told, failed.waiting) == (1, 1)  # the log was told
    told["status"] = 204
    after = alerts.evaluate(subject, interval=0.001, now=now + 6)
    assert after is not None
    assert (after.told, after.waiting) == (1, 0)
    assert [notice["rule"] for notice in told["notices"]] == ["worker_down"]


def test_a_notifier_that_breaks_holds_up_no_other(
    desk: Desk, told: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=greet_mail, args=(server,), daemon=True).start()
        mail = {"alert_mail_from": "desk@example.org", "alert_mail_to": "people@example.org"}
        url = f"smtp://desk:pässword@127.0.0.1:{server.getsockname()[1]}"
        subject, now = subject_of(desk, told, alert_smtp=url, **mail), time.time()
        alerts.evaluate(subject, interval=0.001, now=now)
        found = alerts.evaluate(subject, interval=0.001, now=now + 3)
    assert found is not None
    assert (found.told, found.waiting) == (2, 1)
    assert ["worker_down"] == [notice["rule"] for notice in told["notices"]]
    assert "alert: mail: UnicodeEncodeError" in caplog.text
    assert "ssword" not in caplog.text


def greet_mail(server: socket.socket) -> None:
    """A mail server as far as a password."""
    talk = server.accept()[0].makefile("rw", newline="")
    talk.write("220 desk\r\n")
    talk.flush()
    talk.readline()
    talk.write("250-desk\r\n250 AUTH PLAIN LOGIN\r\n")
    talk.flush()
    talk.readline()


def test_evaluations_end_with_their_exporter_only(desk: Desk, told: dict[str, Any], monkeypatch: Any) -> None:
    stopped, seen = threading.Event(), list[Subject]()

    def evaluate(subject: Subject, **_: Any) -> None:
        subject.__dict__["store"] = unittest.mock.Mock()
        seen.append(subject)
        assert all(each.store.close.called for each in seen[:-1])
        if len(seen) == 3:
            stopped.set()
        raise [redis.ConnectionError("gone"), KeyError("odd"), BrokerUnreachable][len(seen) - 1]

    monkeypatch.setattr(alerts, "evaluate", evaluate)
    exporter.evaluate_alerts(subject_of(desk, told), 0.01, stopped)
    assert 3 == len(seen)


def test_redis_beside_rabbitmq_that_is_away_is_an_error_of_ours(
    desk: Desk, told: dict[str, Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr(alerts, "open_broker", lambda _: nullcontext(SimpleNamespace(client=None)))
    subject = subject_of(desk, told, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(BrokerUnreachable, match="result backend"):
        alerts.evaluate(subject)


def test_a_silent_rule_tells_nobody(desk: Desk, told: dict[str, Any]) -> None:
    assert "silent for 1 h" in desk.rag("alerts", "silence", "worker_down", "--for", "1h").stdout
    subject, now = subject_of(desk, told), time.time()
    alerts.evaluate(subject, interval=0.001, now=now)
    alerts.evaluate(subject, interval=0.001, now=now + 3)
    assert told["notices"] == []
    listed = desk.rag("alerts", "list").stdout
    assert "1 firing" in listed
    assert "worker_down" in listed
    assert "firing, silent for" in listed
    rows = {row["name"]: row for row in json.loads(desk.rag("alerts", "list", "--json").stdout)}
    assert rows["worker_down"]["alerts"][0]["state"] == FIRING
    assert rows["queue_length"]["threshold"] == 3


def test_wrong_rules_and_names_are_one_line(desk: Desk) -> None:
    for command, env, words in (
        (["alerts", "list"], {"SMART_RAG_ALERTS": "not json"}, "SMART_RAG_ALERTS"),
        (["exporter"], {"SMART_RAG_ALERT_WEBHOOK": "nowhere"}, "must be http(s)://"),
        (["alerts", "list"], {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}, "does not answer"),
    ):
        done = desk.rag(*command, check=False, **env)
        assert done.returncode in (1, 2), command
        assert done.stderr.count("\n") == 1, done.stderr
        assert words in done.stderr


def test_a_test_notice_reaches_everybody_or_says_why_not(desk: Desk, told: dict[str, Any]) -> None:
    assert json.loads(desk.rag("alerts", "test", "--json").stdout) == {"log": "told", "webhook": "told"}
    assert told["notices"][0]["rule"] == "test"
    inside = desk.rag("alerts", "test", check=False, SMART_RAG_ALERT_WEBHOOK_HOSTS="")
    assert inside.returncode == 1
    assert "127.0.0.1 is inside the network" in inside.stdout


def test_beat_s_task_evaluates_where_there_is_no_exporter(desk: Desk, told: dict[str, Any]) -> None:
    desk.worker()
    desk.python("from smart_rag_tasks import app, names\nfrom smart_rag_tasks.monitoring.tasks import evaluate_alerts\n"
                "evaluate_alerts.delay()")  # fmt: skip
    client = desk_client(desk)
    assert eventually(lambda: client.llen(alerts.HISTORY))
    assert told["notices"] == []


def test_alerts_tell_no_text_and_no_secret(desk: Desk, told: dict[str, Any]) -> None:
    desk.submit("waiting.md", ["a"], wait=False)
    subject, now = subject_of(desk, told), time.time()
    for seconds in (0, 3):
        alerts.evaluate(subject, interval=0.001, now=now + seconds)
    client = desk_client(desk)
    kept = str([client.hgetall(key) for key in (alerts.STATES, alerts.NOTICES)]) + json.dumps(told["notices"])
    assert SECRET not in kept
    assert PASSWORD not in kept
    assert all(client.ttl(key) > 0 for key in client.keys(alerts.STATES) + client.keys(alerts.HISTORY))


def test_the_exported_rules_are_prometheus_rules(desk: Desk, tmp_path: Path) -> None:
    """As YAML, and by promtool (Debian's package prometheus) where that is installed."""
    file = tmp_path / "rules.yml"
    file.write_text(desk.rag("alerts", "export").stdout)
    (group,) = yaml.safe_load(file.read_text())["groups"]
    rules = {rule["alert"]: rule for rule in group["rules"]}
    assert len(rules) == 12
    assert rules["SmartRagQueueLength"]["expr"] == "smart_rag_queue_waiting > 3"
    assert all(set(rule) == {"alert", "expr", "for", "labels", "annotations"} for rule in rules.values())
    assert {"groups": [group]} == json.loads(desk.rag("alerts", "export", "--json").stdout)
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def desk_client(desk: Desk) -> redis.Redis:
    return redis.Redis.from_url(desk.redis.url)
