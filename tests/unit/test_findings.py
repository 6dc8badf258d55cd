"""What doctor and health say of a check that hangs, or stumbles over somebody else's error: its kind, not its words."""

from __future__ import annotations

import subprocess
import sys

import pytest
from celery import Celery

from smart_rag_tasks import doctor
from smart_rag_tasks.celery import app
from smart_rag_tasks.doctor import State
from smart_rag_tasks.monitoring import checks, health
from smart_rag_tasks.monitoring.checks import Subject
from smart_rag_tasks.settings import load


def stumbling(_subject: Subject) -> str:
    raise ValueError("the service does not know the key SECRET")


def test_doctor_and_health_say_the_kind_and_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ALL_CHECKS", {"odd": stumbling})
    monkeypatch.setattr(health, "CHECKS", {"odd": stumbling})
    subject = Subject(app, load(store="sqlite:////nowhere/store.db"))

    (finding,) = doctor.examine(subject).system
    (check,) = health.health(subject, ["odd"])

    expected = f"ValueError at test_findings.py:{stumbling.__code__.co_firstlineno + 1}"
    assert [expected] * 2 == [finding.detail, check.detail]


@pytest.mark.parametrize(
    ("url", "check", "command"),
    [
        ("redis://:SECRET@127.0.0.1:1/0", "REDIS_URL and that Redis is up", "smart-rag-tasks up"),
        ("amqp://guest:SECRET@127.0.0.1:1//", "CELERY_BROKER_URL and that this broker is up", ""),
    ],
)
def test_a_broker_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch, url: str, check: str, command: str) -> None:
    monkeypatch.setattr(doctor, "ALL_CHECKS", {"broker": checks.broker})
    subject = Subject(Celery("elsewhere", broker=url, set_as_current=False), load(store="sqlite:////nowhere/store.db"))

    (finding,) = doctor.examine(subject).system

    assert finding.detail.startswith(f"the broker at {url.replace('SECRET', '***')} does not answer (")
    assert finding.detail.endswith(f"): check {check}")
    assert (State.WRONG, command) == (finding.state, finding.command)


#: Health says within its limit that a check hangs, doctor too; then the program ends.
HANGING = """
import time
from smart_rag_tasks import doctor
from smart_rag_tasks.celery import app
from smart_rag_tasks.monitoring import health
from smart_rag_tasks.monitoring.checks import Subject
from smart_rag_tasks.settings import load

health.CHECKS = doctor.ALL_CHECKS = {"hangs": lambda subject: time.sleep(60)}
subject = Subject(app, load(store="sqlite:////nowhere/store.db"))
print([each.detail for each in health.health(subject, ["hangs"], 0.1)])
print([each.detail for each in doctor.examine(subject, limit=0.1).system])
"""


def test_a_check_that_hangs_does_not_keep_the_program_from_ending() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=30, check=True)
    assert ["['no answer in time']"] * 2 == done.stdout.splitlines()
