"""What doctor and health say of a check that stumbles over an error of somebody else's: its kind, not its words."""

from __future__ import annotations

import pytest

from smart_rag_tasks import doctor
from smart_rag_tasks.celery import app
from smart_rag_tasks.monitoring import health
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
