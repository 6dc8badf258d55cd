"""Settings that break a guarantee are found, each with its reason; ours break none."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery import Celery

from smart_rag_tasks.configuration import configuration
from smart_rag_tasks.guarantees import WorkerFacts, broken_beat, broken_settings


def conf(**changes: Any) -> Any:
    """Our configuration with changes."""
    app = Celery("test", set_as_current=False)
    app.config_from_object(configuration())
    app.conf.update(changes)
    return app.conf


def test_our_own_settings_break_nothing() -> None:
    assert broken_settings(conf()) == []
    assert broken_beat(conf()) == []


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"task_acks_late": False}, "task_acks_late"),
        ({"task_reject_on_worker_lost": None}, "task_reject_on_worker_lost"),
        ({"worker_prefetch_multiplier": 4}, "worker_prefetch_multiplier"),
        ({"worker_prefetch_multiplier": 0}, "worker_prefetch_multiplier"),
        ({"worker_cancel_long_running_tasks_on_connection_loss": True}, "worker_cancel_long_running_tasks_on_connect"),
        ({"worker_consumer": "celery.worker.consumer:Consumer"}, "worker_consumer"),
        ({"accept_content": ["json", "pickle"]}, "accept_content"),
        ({"accept_content": ["application/x-python-serialize"]}, "accept_content"),
        ({"task_serializer": "pickle"}, "task_serializer"),
        ({"result_serializer": "pickle"}, "result_serializer"),
        ({"task_time_limit": None}, "task_time_limit"),
        ({"task_time_limit": 300}, "task_time_limit"),
        ({"broker_transport_options": {"visibility_timeout": 60}}, "task_time_limit"),
        ({"result_chord_expires": 600}, "result_chord_expires"),
        ({"result_chord_expires": None, "result_expires": timedelta(minutes=5)}, "result_chord_expires"),
        ({"result_expires": None}, "result_expires"),
        ({"task_ignore_result": True}, "task_ignore_result"),
        ({"task_always_eager": True}, "task_always_eager"),
        ({"broker_url": "memory://"}, "broker_url"),
        ({"broker_url": "filesystem://"}, "broker_url"),
        ({"result_backend": "cache+memory://"}, "result_backend"),
        ({"result_backend": "rpc://"}, "result_backend"),
        ({"worker_pool": "solo"}, "worker_pool"),
        ({"worker_pool": "threads"}, "worker_pool"),
        ({"worker_pool": "gevent"}, "worker_pool"),
    ],
)
def test_each_setting_that_breaks_a_guarantee_is_named(changes: dict[str, Any], setting: str) -> None:
    found = [item for item in broken_settings(conf(**changes)) if item.setting.startswith(setting)]
    assert len(found) == 1
    assert any(
        word in found[0].reason for word in ("remove it", "use ", "set one", "lower", "raise it", "leave it out")
    )


def test_what_the_command_line_says_counts() -> None:
    facts = WorkerFacts("celery.concurrency.thread:TaskPool", time_limit=400.0, prefetch=8)
    named = {item.setting for item in broken_settings(conf(), worker=facts)}
    assert named == {"worker_pool", "task_time_limit", "worker_prefetch_multiplier"}


def test_a_task_with_a_longer_limit_of_its_own_is_named() -> None:
    found = broken_settings(conf(), task_limits={"mine.slow": 900.0, "mine.quick": 10.0})
    assert [item.setting for item in found] == ["time_limit of mine.slow"]


def test_other_brokers_and_pool_classes_that_are_fine() -> None:
    from celery.concurrency.prefork import TaskPool

    class Own(TaskPool):
        pass

    assert broken_settings(conf(), worker=WorkerFacts(Own)) == []
    assert broken_settings(conf(broker_url="amqp://localhost//", broker_transport_options={})) == []
    assert broken_settings(conf(broker_url="sentinel://a:1;sentinel://b:2")) == []
    assert broken_settings(conf(broker_url="redis+socket:///tmp/x.sock")) == []


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"beat_scheduler": "celery.beat:PersistentScheduler"}, "beat_scheduler"),
        ({"redbeat_lock_timeout": 300}, "redbeat_lock_timeout"),
        ({"redbeat_lock_timeout": None}, "redbeat_lock_timeout"),
        ({"redbeat_lock_key": None}, "redbeat_lock_key"),
        ({"beat_max_loop_interval": 0}, "redbeat_lock_timeout"),
        ({"beat_max_loop_interval": 20, "redbeat_lock_timeout": 30}, "beat_max_loop_interval"),
    ],
)
def test_beat_is_looked_at_too(changes: dict[str, Any], setting: str) -> None:
    assert [item.setting for item in broken_beat(conf(**changes))] == [setting]
