"""Alert rules, their states and their notifiers, without a server of ours."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from smart_rag_tasks.errors import InvalidSettings
from smart_rag_tasks.instrumentation import metrics
from smart_rag_tasks.monitoring import webhook
from smart_rag_tasks.monitoring.alert_rules import MIN_SAMPLE, RULES, Measured, Moment, Rule, rules
from smart_rag_tasks.monitoring.alert_states import FIRING, PENDING, RESOLVED, Alert, Notice, step
from smart_rag_tasks.monitoring.notifiers import MailError, notifiers
from smart_rag_tasks.monitoring.prometheus_rules import render
from smart_rag_tasks.monitoring.samples import Samples
from smart_rag_tasks.settings import load

DEFAULTS = {rule.name: rule for rule in RULES}


def moment(*values: Any, errors: dict[str, float] | None = None, growth: dict[str, float] | None = None) -> Moment:
    answered = [(metrics.UP, (part,), 1.0) for part in ("store", "broker", "workers")]
    return Moment(Samples(0.0, [*answered, *values]), errors or {}, growth or {})


# -- rules


def test_the_requirements_documents_thresholds_are_the_defaults() -> None:
    limits = {name: rule.threshold for name, rule in DEFAULTS.items()}
    assert limits["queue_length"] == 1000
    assert limits["task_too_long"] == 600
    assert limits["worker_memory"] == limits["redis_memory"] == 0.8
    assert limits["error_rate"] == 0.05
    assert len(RULES) == 12


def test_settings_change_threshold_duration_severity() -> None:
    changed = rules(
        {"queue_length": {"threshold": 5, "for": 0, "severity": "critical"}, "beat_silent": {"enabled": False}}
    )
    by_name = {rule.name: rule for rule in changed}
    queue = by_name["queue_length"]
    assert (queue.threshold, queue.hold, queue.severity) == (5, 0, "critical")
    assert not by_name["beat_silent"].enabled


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"no_such": {}}, "there is no rule 'no_such'"),
        ({"queue_length": 5}, "must be an object"),
        ({"queue_length": {"limit": 5}}, "no field 'limit'"),
        ({"queue_length": {"threshold": "many"}}, "threshold must be a float"),
        ({"queue_length": {"threshold": True}}, "threshold must be a float"),
        ({"queue_length": {"threshold": -1}}, "must be 0 or more"),
        ({"queue_length": {"threshold": float("nan")}}, "must be 0 or more"),
        ({"error_rate": {"threshold": 5}}, "is a fraction"),
        ({"error_rate": {"severity": "bad"}}, "severity must be one of"),
        ({"error_rate": {"enabled": "no"}}, "enabled must be a bool"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        rules(changes)


def test_an_error_rate_needs_a_sample() -> None:
    measure = DEFAULTS["error_rate"].measure
    before = {"failed": 100.0, "generated": 100.0}

    def rate(failed: float, generated: float) -> Measured:
        values = [(metrics.CHUNKS, ("failed",), failed), (metrics.CHUNKS, ("generated",), generated)]
        return measure(moment(*values, errors=before))

    assert rate(101, 100) == {"": 0.0}  # 1 of 1 is no rate
    assert rate(100 + MIN_SAMPLE / 2, 100 + MIN_SAMPLE / 2) == {"": 0.5}
    assert measure(moment(*[(metrics.CHUNKS, ("failed",), 5.0)])) is None  # nothing to compare with yet


def test_dead_letters_have_to_grow() -> None:
    measure = DEFAULTS["dead_letters"].measure
    dead = (metrics.DEAD_LETTERS, (), 7.0)
    assert measure(moment(dead, growth={"dead": 7.0})) == {"": 0.0}
    assert measure(moment(dead, growth={"dead": 5.0})) == {"": 2.0}
    assert measure(moment(dead)) == {"": 0.0}


def test_without_workers_one_rule_fires_not_six() -> None:
    nobody = [(metrics.QUEUE_CONSUMERS, (queue,), 0.0) for queue in ("a", "b")]
    down = moment((metrics.WORKERS, (), 0.0), *nobody)
    assert DEFAULTS["worker_down"].measure(down) == {"": 0.0}
    assert DEFAULTS["queue_without_consumer"].measure(down) == {}
    up = moment((metrics.WORKERS, (), 1.0), (metrics.QUEUE_CONSUMERS, ("a",), 1.0), nobody[1])
    assert DEFAULTS["queue_without_consumer"].measure(up) == {"a": 1.0, "b": 0.0}


def test_what_nobody_could_tell_is_not_measured() -> None:
    silent = Moment(Samples(0.0, [(metrics.UP, ("store",), 0.0)]), {}, {})
    assert {rule.name: rule.measure(silent) for rule in RULES} == dict.fromkeys(DEFAULTS)


def test_the_rules_for_prometheus_name_only_metrics_that_exist() -> None:
    import re

    told = {metric.name + ending for metric in metrics.ALL for ending in ("", "_total")}
    text = render(RULES)
    assert set(re.findall(r"smart_rag_\w+", text)) - {"smart_rag_tasks"} <= told
    assert text.count("- alert:") == len(RULES)
    assert "beat" not in render(rules({"beat_silent": {"enabled": False}}))


# -- states

RULE = Rule("r", "{subject} has {value} (limit {threshold})", lambda _: None, ">", 10, 60, "warning", "x")


class Steps:
    """Evaluations one after the other."""

    def __init__(self) -> None:
        self.alerts: dict[str, Alert] = {}

    def __call__(self, at: float, found: Measured) -> list[Notice]:
        self.alerts, notices = step(self.alerts, [(RULE, found)], at)
        return notices

    def states(self) -> dict[str, str]:
        return {alert.subject: alert.state for alert in self.alerts.values()}


def test_pending_firing_resolved_with_one_notice_each() -> None:
    steps = Steps()
    assert steps(0, {"q": 11}) == []
    assert steps.states() == {"q": PENDING}
    assert steps(59, {"q": 12}) == []
    (fired,) = steps(60, {"q": 13})
    assert (fired.state, fired.message, fired.since) == (FIRING, "q has 13 (limit 10)", 0)
    assert steps(90, {"q": 14}) == []
    assert steps.states() == {"q": FIRING}
    (over,) = steps(120, {"q": 3})
    assert (over.state, over.message) == (RESOLVED, "over: q has 14 (limit 10)")
    assert steps(150, {"q": 3}) == []
    assert steps.states() == {}


def test_what_was_only_pending_goes_without_a_word() -> None:
    steps = Steps()
    steps(0, {"q": 11})
    assert steps(30, {"q": 10}) == []
    assert steps.states() == {}
    steps(60, {"q": 11})
    assert steps(100, {"q": 11}) == []  # it counts from 60, not from 0


def test_a_rule_that_could_not_be_measured_changes_nothing() -> None:
    steps = Steps()
    steps(0, {"q": 11})
    steps(60, {"q": 11})
    assert steps(90, None) == []
    assert steps.states() == {"q": FIRING}


def test_a_subject_that_is_gone_is_over() -> None:
    steps = Steps()
    steps(0, {"a": 11, "b": 11})
    assert len(steps(60, {"a": 11, "b": 11})) == 2
    (over,) = steps(90, {"a": 11})
    assert (over.subject, over.state) == ("b", RESOLVED)


# -- webhook


class Hook(http.server.BaseHTTPRequestHandler):
    """A webhook; what it got, and how it is to answer."""

    got: ClassVar[list[tuple[dict[str, str], bytes]]] = []
    answer: ClassVar[int] = 204

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((dict(self.headers), body))
        self.send_response(self.answer)
        if self.answer == 302:
            self.send_header("Location", "http://169.254.169.254/latest/meta-data")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hook() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Hook.got.clear()
    Hook.answer = 204
    yield f"http://127.0.0.1:{server.server_port}/alerts?x=1"
    server.shutdown()
    server.server_close()


def test_a_notice_is_signed(hook: str) -> None:
    webhook.post(hook, {"rule": "r"}, "secret", {"127.0.0.1"})
    ((headers, body),) = Hook.got
    assert json.loads(body) == {"rule": "r"}
    timestamp = headers["X-Smart-Rag-Timestamp"]
    assert abs(time.time() - int(timestamp)) < 5
    assert headers["X-Smart-Rag-Signature"] == webhook.signature("secret", timestamp, body)
    assert webhook.signature("other", timestamp, body) != webhook.signature("secret", timestamp, body)


@pytest.mark.parametrize("status", [302, 400, 500])
def test_redirects_and_refusals_are_failures(hook: str, status: int) -> None:
    Hook.answer = status
    with pytest.raises(webhook.WebhookError, match=str(status)):
        webhook.post(hook, {}, "", {"127.0.0.1"})
    assert len(Hook.got) == 1  # the redirect was not followed


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0",
     "[::ffff:127.0.0.1]", "[fd00::1]", "[fe80::1]", "100.64.0.1", "224.0.0.1", "2130706433", "0x7f.1"],
)  # fmt: skip
def test_addresses_inside_the_network_are_refused(host: str) -> None:
    with pytest.raises(InvalidSettings, match="inside the network"):
        webhook.post(f"http://{host}:9/x", {}, "")


@pytest.mark.parametrize("url", ["ftp://x/y", "file:///etc/passwd", "http://", "http://a:b@c/", "http://x:99999/", "x"])
def test_urls_that_cannot_be_posted_to_are_refused(url: str) -> None:
    with pytest.raises(InvalidSettings, match="SMART_RAG_ALERT_WEBHOOK"):
        notifiers(load(alert_webhook=url))


def test_a_webhook_that_hangs_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "PATIENCE", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begin = time.monotonic()
        with pytest.raises(webhook.WebhookError, match="does not answer"):
            webhook.post(f"http://127.0.0.1:{silent.getsockname()[1]}/", {}, "", {"127.0.0.1"})
    assert time.monotonic() - begin < 3


def test_a_webhook_that_answers_drop_by_drop_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "LIMIT", 1.0)
    with socket.socket() as slow:
        slow.bind(("127.0.0.1", 0))
        slow.listen()

        def drip() -> None:
            connection, _ = slow.accept()
            try:
                for _ in range(100):
                    connection.sendall(b"H")
                    time.sleep(0.2)
            except OSError:
                connection.close()

        threading.Thread(target=drip, daemon=True).start()
        begin = time.monotonic()
        with pytest.raises(webhook.WebhookError):
            webhook.post(f"http://127.0.0.1:{slow.getsockname()[1]}/", {}, "", {"127.0.0.1"})
    assert time.monotonic() - begin < 5


# -- mail


def mail_server(taken: list[str]) -> int:
    """A mail server that takes one message: as much SMTP as a client needs."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb") as talk:

            def say(words: str) -> None:
                talk.write(words.encode() + b"\r\n")
                talk.flush()

            say("220 here")
            for line in talk:
                verb = line[:4].upper()
                if verb == b"DATA":
                    say("354 go on")
                    while (part := talk.readline()) != b".\r\n":
                        taken.append(part.decode().rstrip())
                say("221 bye" if verb == b"QUIT" else "250 ok")
                if verb == b"QUIT":
                    break
        listener.close()

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def a_notice(**changes: Any) -> Notice:
    facts: dict[str, Any] = {
        "rule": "queue_length", "subject": "default", "state": FIRING, "severity": "warning",
        "message": "1,500 messages wait in default (limit 1,000)", "value": 1500.0, "threshold": 1000.0,
        "since": 1.0, "at": 61.0,
    }  # fmt: skip
    return Notice(**{**facts, **changes})


def test_a_mail_says_what_is_wrong() -> None:
    taken: list[str] = []
    port = mail_server(taken)
    mail = {"alert_mail_from": "desk@example.org", "alert_mail_to": "people@example.org"}
    notifiers(load(alert_smtp=f"smtp://127.0.0.1:{port}", **mail))["mail"](a_notice())
    assert "To: people@example.org" in taken
    assert any(line.startswith("Subject: smart_rag_tasks [firing] warning: 1,500 messages wait") for line in taken)
    with pytest.raises(MailError):
        notifiers(load(alert_smtp=f"smtp://127.0.0.1:{port}", **mail))["mail"](a_notice())


@pytest.mark.parametrize(
    "settings",
    [
        {"alert_smtp": "http://x"},
        {"alert_smtp": "smtp://:99999"},
        {"alert_smtp": "smtp://host"},
    ],
)
def test_a_mail_server_that_is_none_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings, match="SMART_RAG_ALERT_SMTP"):
        notifiers(load(**settings))


def test_the_log_tells_with_its_severity(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    tell = notifiers(load(home=tmp_path))["log"]
    with caplog.at_level("INFO"):
        tell(a_notice(severity="critical"))
        tell(a_notice())
        tell(a_notice(state=RESOLVED))
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING", "INFO"]
