"""A message whose process is killed at the hard time limit goes back, and has less time when it comes again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import TimeLimitExceeded

from smart_rag_tasks import base_task, names
from smart_rag_tasks.base_task import StoreBackedRequest
from smart_rag_tasks.celery import app


class Answers(list[Any]):
    """What the broker was told of the message."""

    def ack(self, *_: Any) -> None:
        self.append("ack")

    def reject(self, _log: Any, _errors: Any, requeue: bool) -> None:
        self.append("requeue" if requeue else "reject")


def request(answers: Answers, *, redelivered: bool = False, redriven: bool = False, limits: Any = None) -> Any:
    app.loader.import_default_modules()
    kwargs = {"redriven": True} if redriven else {}
    headers = {"id": "1", "task": names.GENERATE_BATCH, "timelimit": limits}
    message = SimpleNamespace(
        headers=headers,
        body=[["run", 0], kwargs, {}],
        payload=[["run", 0], kwargs, {}],
        content_type="application/json",
        content_encoding="utf-8",
        delivery_info={"redelivered": redelivered},
        properties={},
    )
    return StoreBackedRequest(message, app=app, on_ack=answers.ack, on_reject=answers.reject)


def failure(error: Exception) -> ExceptionInfo:
    try:
        raise error
    except type(error):
        return ExceptionInfo()


def test_the_hard_limit_gives_the_message_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_task, "get_event_loop", lambda: None)
    answers = Answers()
    killed = request(answers)
    killed.on_failure(failure(TimeLimitExceeded(120.0)))  # billiard's order: first the result, then the time limit
    assert [] == answers
    killed.on_timeout(soft=False, timeout=120.0)
    assert ["requeue"] == answers


def test_a_message_that_comes_again_is_killed_earlier() -> None:
    assert [90.0, 120.0] == [app.conf.task_soft_time_limit, app.conf.task_time_limit]
    assert (None, None) == request(Answers()).time_limits
    assert (100.0, 90.0) == request(Answers(), redelivered=True).time_limits
    assert (100.0, 90.0) == request(Answers(), redriven=True).time_limits


def test_three_tries_end_within_three_limits() -> None:
    hard, _ = request(Answers(), redelivered=True).time_limits
    assert app.conf.task_time_limit + 2 * hard + 3 * base_task.DYING < 3 * app.conf.task_time_limit


@pytest.mark.parametrize(("limits", "expected"), [((60.0, 30.0), (40.0, 30.0)), ((20.0, 90.0), (20.0, 90.0))])
def test_limits_of_the_message_itself_go_first(limits: tuple[float, float], expected: tuple[float, float]) -> None:
    assert expected == request(Answers(), redelivered=True, limits=limits).time_limits


def test_the_workers_limits_count_not_the_publishers(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(
        app.amqp, "send_task_message", lambda producer, name, message, **_: sent.append(message.headers)
    )
    task = app.tasks[names.GENERATE_METADATA_FOR_CHUNK]
    with app.producer_pool.acquire(block=False) as producer:
        task.apply_async(("c1", "text", "d"), producer=producer, ignore_result=True)
        task.apply_async(("c1", "text", "d"), producer=producer, ignore_result=True, time_limit=5, soft_time_limit=4)
    assert [[None, None], [5, 4]] == [headers["timelimit"] for headers in sent]
