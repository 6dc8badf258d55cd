"""What a sweep found is done run by run: what one of them raises, the others do not feel."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from smart_rag_tasks import maintenance, names
from smart_rag_tasks.stages.maintenance import Redrive, Sweep


def test_one_run_that_raises_stops_neither_the_others_nor_the_outbox(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def note(name: str) -> None:
        if name.startswith("bad"):
            raise TypeError("not this one")
        done.append(name)

    engine = SimpleNamespace(publish=lambda document_id, run_id, lane: note(run_id))
    monkeypatch.setattr(maintenance, "environment", lambda: None)
    monkeypatch.setattr(maintenance, "engine", lambda name: engine)
    monkeypatch.setattr(maintenance.announcements, "settle", lambda env, run_id, again: note(run_id))
    monkeypatch.setattr(maintenance.app, "send_task", lambda name, queue: note(name))
    redrives = tuple(Redrive("doc", run_id, "bulk", None) for run_id in ("bad-lost", "lost"))

    maintenance.act(Sweep(redrives, ("bad-settled", "settled"), outbox=True))

    assert ["lost", "settled", names.DELIVER_OUTBOX] == done
    assert "run bad-lost" in caplog.text and "run bad-settled" in caplog.text


def test_a_broker_that_is_away_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def publish(document_id: str, run_id: str, lane: str) -> None:
        asked.append(run_id)
        raise ConnectionError

    monkeypatch.setattr(maintenance, "environment", lambda: None)
    monkeypatch.setattr(maintenance, "engine", lambda name: SimpleNamespace(publish=publish))
    redrives = tuple(Redrive("doc", run_id, "bulk", None) for run_id in ("first", "second"))

    with pytest.raises(ConnectionError):
        maintenance.act(Sweep(redrives, (), outbox=False))
    assert ["first"] == asked
