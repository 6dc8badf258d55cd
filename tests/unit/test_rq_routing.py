"""Which side a document belongs to: stable, monotone in the ratio, sticky in between, strict about its input."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from smart_rag_tasks import settings as settings_module
from smart_rag_tasks.errors import InvalidInput, InvalidSettings
from smart_rag_tasks.models import Chunk
from smart_rag_tasks.stages import routing
from smart_rag_tasks.stages.ingest import Submission, admit
from smart_rag_tasks.store import Store, open_store

DOCUMENTS = [f"manual-{number}.md" for number in range(2000)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("USE_CELERY", "SMART_RAG_CELERY_RATIO"):
        monkeypatch.delenv(name, raising=False)


def turn(store: Store, ratio: float, moved_at: float = 0.0) -> None:
    with store.write() as connection:
        routing.turn_switch(store, connection, routing.Switch(ratio, moved_at))
    routing._seen.clear()  # a second process would follow within seconds


def make_run(store: Store, document_id: str, engine: str) -> None:
    admit(store, Submission(document_id, [Chunk("c", "text")], "extractive", engine=engine))


def test_a_document_keeps_its_number_for_ever() -> None:
    # written down once: another value would send documents to the other side after an upgrade
    assert routing.share_of("manual.md") == 0.7710024931152945


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_the_ratio_is_the_share_of_documents(ratio: float) -> None:
    celery = sum(routing.side_of(name, ratio) == "celery" for name in DOCUMENTS)
    assert celery / len(DOCUMENTS) == pytest.approx(ratio, abs=0.04)


def test_raising_the_ratio_only_adds_documents_to_celery() -> None:
    few = {name for name in DOCUMENTS if routing.side_of(name, 0.3) == "celery"}
    more = {name for name in DOCUMENTS if routing.side_of(name, 0.6) == "celery"}
    assert few < more


def test_all_or_nothing_at_the_ends() -> None:
    assert {routing.side_of(name, 1.0) for name in DOCUMENTS} == {"celery"}
    assert {routing.side_of(name, 0.0) for name in DOCUMENTS} == {"rq"}


@pytest.mark.parametrize("value", ["yes please", "", "1.5", -0.1, "nan", "inf", None, True])
def test_a_ratio_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="ratio"):
        routing.parse_ratio(value)


@pytest.mark.parametrize(("value", "ratio"), [("0.25", 0.25), (1, 1.0), (" 0 ", 0.0)])
def test_a_ratio_is_read(value: object, ratio: float) -> None:
    assert routing.parse_ratio(value) == ratio


@pytest.mark.parametrize("value", ["False", "off", "0", "NO"])
def test_use_celery_false_in_any_spelling_means_rq(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("USE_CELERY", value)
    assert routing.default_ratio(settings_module.load()) == 0.0


@pytest.mark.parametrize(("name", "value"), [("USE_CELERY", "maybe"), ("SMART_RAG_CELERY_RATIO", "1.5")])
def test_a_wrong_variable_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings, match=name):
        settings_module.load()


def test_the_switch_in_the_store_goes_before_the_settings(store: Store) -> None:
    settings = settings_module.load(use_celery=True)
    assert routing.choose(store, settings, "a") == "celery"
    turn(store, 0.0)
    assert routing.choose(store, settings, "a") == "rq"


def test_a_running_process_follows_the_switch_within_seconds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "FOLLOWED_AFTER", 0.2)
    settings = settings_module.load()
    assert routing.choose(store, settings, "a") == "celery"
    with store.write() as connection:
        routing.turn_switch(store, connection, routing.Switch(0.0))
    assert routing.choose(store, settings, "a") == "celery"  # what it read last still holds
    time.sleep(0.25)
    assert routing.choose(store, settings, "a") == "rq"


def test_a_rescan_stays_on_its_side_when_the_ratio_changes(store: Store) -> None:
    settings = settings_module.load()
    name = next(name for name in DOCUMENTS if 0.3 < routing.share_of(name) < 0.6)
    turn(store, 0.3)
    make_run(store, name, routing.choose(store, settings, name))
    turn(store, 0.6)
    assert routing.choose(store, settings, name) == "rq"


def test_a_move_binds_documents_anew(store: Store) -> None:
    settings = settings_module.load()
    name = next(name for name in DOCUMENTS if 0.3 < routing.share_of(name) < 0.6)
    turn(store, 0.3)
    make_run(store, name, "rq")
    turn(store, 0.6, moved_at=time.time() + 0.001)
    assert routing.choose(store, settings, name) == "celery"


def test_at_the_ends_no_history_counts(store: Store) -> None:
    settings = settings_module.load()
    make_run(store, "a", "celery")
    turn(store, 0.0)
    assert routing.choose(store, settings, "a") == "rq"
