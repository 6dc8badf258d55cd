"""Wrong settings are refused by their variable's name; passwords are shown nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from smart_rag_tasks import doctor
from smart_rag_tasks.celery import app
from smart_rag_tasks.doctor import Ailing
from smart_rag_tasks.errors import InvalidSettings
from smart_rag_tasks.monitoring.checks import Subject
from smart_rag_tasks.settings import client_url, load, mask, misspelt


@pytest.mark.parametrize(
    ("name", "url", "said"),
    [
        ("REDIS_URL", "foo", "REDIS_URL: use redis://, rediss://"),
        ("REDIS_URL", "http://:secret@h/", "REDIS_URL: use redis://"),
        ("REDIS_URL", "amqp://h//", "REDIS_URL: use redis://"),
        ("REDIS_URL", "redis://:secret@h:port/0", "REDIS_URL: its port must be a number"),
        ("REDIS_URL", "redis://h/abc", "REDIS_URL: its database must be a number"),
        ("REDIS_URL", " ", "REDIS_URL: is blank"),
        ("CELERY_LOG_FILE", " ", "CELERY_LOG_FILE: is blank"),
        ("SMART_RAG_LOST_AFTER", "inf", "SMART_RAG_LOST_AFTER: must be a number > 0, ≤ 604800"),
        ("SMART_RAG_CHORD_EXPIRES", "9" * 17, "SMART_RAG_CHORD_EXPIRES: must be a whole number ≥ .*≤ 315360000"),
        ("WORKER_COUNT", "0", "WORKER_COUNT: must be a whole number ≥ 1, ≤ 256$"),
        ("WORKER_CONCURRENCY", "secret", "WORKER_CONCURRENCY: must be a whole number ≥ 1, ≤ 512$"),
        ("CELERY_LOG_LEVEL", "secret", "CELERY_LOG_LEVEL: must be 'DEBUG', 'INFO', "),
        ("CELERY_BROKER_URL", "kafka://h", r"CELERY_BROKER_URL: use redis://.*amqp://"),
        ("CELERY_BROKER_URL", "sentinel://a:1;kafka://b:2", "CELERY_BROKER_URL: use redis://"),
        ("CELERY_RESULT_BACKEND", "nope://x", "CELERY_RESULT_BACKEND: use redis://"),
        ("SMART_RAG_RQ_URL", "amqp://h//", r"SMART_RAG_RQ_URL: use redis://.*unix://"),
    ],
)
def test_a_place_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, url: str, said: str) -> None:
    monkeypatch.setenv(name, url)
    with pytest.raises(InvalidSettings, match=f"^{said}") as refusal:
        load()
    assert "secret" not in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://u:p@h:1/0?ssl_cert_reqs=required",
        "redis+socket:///tmp/s",
        "sentinel://a:1;sentinel://b:2",
    ],
)
def test_places_that_are_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    assert url == load().broker_url == load().result_backend


def test_a_store_may_be_a_plain_file_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMART_RAG_STORE_URL", raising=False)
    (tmp_path / ".env").write_text("SMART_RAG_STORE_URL=my.db\n")
    assert f"sqlite:///{tmp_path}/my.db" == load().store_url
    monkeypatch.setenv("SMART_RAG_STORE_URL", "postgresql://h/d")
    assert "postgresql://h/d" == load().store_url


def test_an_env_file_that_is_no_utf_8_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(b"SMART_RAG_HOME=caf\xe9\n")
    with pytest.raises(InvalidSettings, match=r"^\.env: is not UTF-8 text"):
        load()


def test_a_name_that_is_not_read_any_more_is_refused_in_the_env_file_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("CELERY_TASK_ACKS_LATE=true\n")
    with pytest.raises(InvalidSettings, match="CELERY_TASK_ACKS_LATE is not read any more"):
        load()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://u:p@ss@h/0", "redis://u:***@h/0"),
        ("redis://:a;b@h/0", "redis://:***@h/0"),
        ("sentinel://:pw1@h:1/0;sentinel://:pw2@h:2/0", "sentinel://:***@h:1/0;sentinel://:***@h:2/0"),
        ("redis://h/0?password=p&db=1", "redis://h/0?password=***&db=1"),
        ("postgresql://u@h/d?a=b&sslpassword=p", "postgresql://u@h/d?a=b&sslpassword=***"),
        ("sqlite:////tmp/store.db", "sqlite:////tmp/store.db"),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    assert shown == mask(url)


def test_a_socket_has_another_name_in_redis_py() -> None:
    assert "unix:///tmp/r.sock?db=1" == client_url("redis+socket:///tmp/r.sock?virtual_host=1")
    assert "rediss://h:1/0" == client_url("rediss://h:1/0")


def test_a_misspelt_name_is_told_with_the_setting_that_is_meant_and_without_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "" == misspelt()
    (tmp_path / ".env").write_text("SMART_RAG_BATCH_COSTS=secret\nSMART_RAG_SINK=x:y\n", encoding="utf-8")
    monkeypatch.setenv("SMART_RAG_STROE", "secret")
    slips = [
        "SMART_RAG_BATCH_COSTS (meant as SMART_RAG_BATCH_SECONDS?)",
        "SMART_RAG_STROE (meant as SMART_RAG_STORE_URL?)",
    ]
    assert f"names in the environment that nothing reads: {', '.join(slips)}" == misspelt()
    load()  # and it is not refused
    with pytest.raises(Ailing, match="nothing reads: SMART_RAG_BATCH_COSTS"):
        doctor.settings(Subject(app, load()))


@pytest.mark.parametrize(
    "name",
    ["API_KEY", "BASE_URL", "CHUNK_SIZE", "DATABASE_URL", "DEBUG", "HOST", "LOG_LEVEL", "MAX_TOKENS", "MODEL", "PORT",
     "TIMEOUT", "TOKEN", "VERSION", "WORKERS"],
)  # fmt: skip
def test_names_of_a_host_application_are_its_own(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"SMART_RAG_{name}", "x")
    assert "" == misspelt()
