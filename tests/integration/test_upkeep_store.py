"""What upkeep reads and writes, on SQLite and on PostgreSQL: schedules, locks, expiry, stale documents, retries."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from testing_generators import read

from smart_rag_tasks import names
from smart_rag_tasks.errors import InvalidInput
from smart_rag_tasks.models import Chunk, ChunkState, RunStatus
from smart_rag_tasks.settings import load
from smart_rag_tasks.stages import expiry, timetable
from smart_rag_tasks.stages.environment import Environment
from smart_rag_tasks.stages.exclusive import exclusive
from smart_rag_tasks.stages.files import INGEST_DEATHS
from smart_rag_tasks.stages.finish import finish
from smart_rag_tasks.stages.generation import run_batch
from smart_rag_tasks.stages.ingest import Submission, admit
from smart_rag_tasks.stages.planning import plan
from smart_rag_tasks.stages.regeneration import stale_documents
from smart_rag_tasks.store import batches as batch_rows
from smart_rag_tasks.store import documents, facts, open_store, runs, watched
from smart_rag_tasks.store.schema import batches, chunks, outbox
from smart_rag_tasks.store.schema import runs as runs_table


@pytest.fixture(params=["sqlite", "postgresql"])
def env(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
    """A store of the test's own."""
    url = f"sqlite:///{tmp_path}/store.db"
    if request.param == "postgresql":
        from sqlalchemy import create_engine, text

        server = request.getfixturevalue("postgres_url")
        name = f"upkeep_{uuid4().hex[:8]}"
        engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        url = engine.url.set(database=name).render_as_string(hide_password=False)
    settings = load(
        generator="testing_generators:LedgerGenerator", generator_options={"ledger": str(tmp_path / "ledger")}
    )
    store = open_store(url)
    yield Environment(settings, store)
    store.close()


def submitted(env: Environment, document_id: str, *texts: str, **wishes: Any) -> str:
    """Store a document and work on it, in this process; the run's id."""
    given = [Chunk(f"c{number}", text, number) for number, text in enumerate(texts)] or None
    wish = Submission(document_id, given, env.settings.generator, env.settings.generator_options, **wishes)
    run_id = admit(env.store, wish).run_id
    for number in plan(env, run_id).open:
        while run_batch(env, run_id, number).outcome not in ("done", "gone"):
            time.sleep(0.05)
    assert finish(env, run_id) is not None
    return run_id


def states(env: Environment, document_id: str) -> dict[str, str]:
    with env.store.read() as connection:
        return {row.chunk_id: row.state for row in documents.chunk_rows(connection, document_id)}


# -- schedules


def test_defaults_follow_the_settings_until_somebody_changes_them(env: Environment) -> None:
    before = {row.name: row.every for row in timetable.entries(env)}
    assert before["sweep"] == env.settings.sweep_seconds
    slower = Environment(load(sweep_seconds=9.0), env.store)
    assert timetable.find(slower, "sweep").every == 9.0
    timetable.add(slower, "sweep", None, None, every=3.0, cron=None)
    assert timetable.find(env, "sweep").every == 3.0
    assert timetable.find(env, "sweep").builtin


def test_entries_are_added_changed_paused_and_removed(env: Environment) -> None:
    assert timetable.add(env, "mine", names.EXPIRE, {"a": 1}, every=5.0, cron=None)
    timetable.pause(env, "mine")
    assert not timetable.add(env, "mine", None, None, every=None, cron="0 4 * * *")
    row = timetable.find(env, "mine")
    assert (row.task, row.kwargs, row.every, row.cron, row.enabled) == (
        names.EXPIRE,
        {"a": 1},
        None,
        "0 4 * * *",
        False,
    )
    with pytest.raises(InvalidInput, match="paused already"):
        timetable.pause(env, "mine")
    timetable.remove(env, "mine")
    with pytest.raises(InvalidInput, match="no such entry"):
        timetable.resume(env, "mine")
    with pytest.raises(InvalidInput, match="is built in"):
        timetable.remove(env, "sweep")
    with pytest.raises(InvalidInput, match="--task"):
        timetable.add(env, "new", None, None, every=5.0, cron=None)


def test_folders_are_watched_once_and_never_inside_one_another(env: Environment, tmp_path: Path) -> None:
    inner = tmp_path / "文档" / "inner"
    inner.mkdir(parents=True)
    assert timetable.watch(env, inner, None) == (str(inner), True)
    assert timetable.watch(env, inner, 60.0) == (str(inner), False)
    assert timetable.find(env, f"rescan:{inner}").every == 60.0
    with pytest.raises(InvalidInput, match="overlaps"):
        timetable.watch(env, inner.parent, None)
    with pytest.raises(InvalidInput, match="is no folder"):
        timetable.watch(env, inner / "missing", None)
    with env.store.write() as connection:
        row = {"source": f"{inner}/a", "folder": str(inner), "size": 1, "mtime_ns": 2**62, "source_hash": ""}
        watched.put(env.store, connection, [{**row, "sent_at": None, "tries": 0, "missing_since": None, "error": "e"}])
        assert watched.count(connection) == {str(inner): 1}
    assert timetable.unwatch(env, inner) == str(inner)
    with env.store.read() as connection:
        assert watched.count(connection) == {}
        assert timetable.watched_folders(connection) == []


# -- one at a time


def _hold(url: str, started: Any, go_on: Any) -> None:
    env = Environment(load(), open_store(url))
    with exclusive(env, "work", 60.0):
        started.set()
        go_on.wait(30)


def test_periodic_work_that_overlaps_itself_does_nothing_twice(env: Environment) -> None:
    context = multiprocessing.get_context("spawn")
    started, go_on = context.Event(), context.Event()
    url = env.store.engine.url.render_as_string(hide_password=False)
    holder = context.Process(target=_hold, args=(url, started, go_on))
    holder.start()
    assert started.wait(30)
    with exclusive(env, "work", 60.0) as mine:
        assert not mine
    with exclusive(env, "other work", 60.0) as mine:
        assert mine
    holder.kill()  # its lock has 60 seconds to go
    holder.join()
    with exclusive(env, "work", 60.0) as mine:
        assert mine
    with exclusive(env, "work", 60.0) as mine:
        assert mine  # it was given back


def test_a_lock_of_another_host_ends_with_its_time(env: Environment) -> None:
    with env.store.write() as connection:
        facts.put(env.store, connection, "lock:x", {"owner": "elsewhere/1|5|1.00", "until": time.time() + 0.3}, 0.0)
    with exclusive(env, "x", 60.0) as mine:
        assert not mine
    time.sleep(0.35)
    with exclusive(env, "x", 60.0) as mine:
        assert mine


# -- expiry


def test_old_runs_expire_but_never_a_documents_newest(env: Environment) -> None:
    first = submitted(env, "a", "one")
    second = submitted(env, "a", "one", "two")
    young = submitted(env, "b", "three")
    with env.store.write() as connection:
        connection.execute(runs_table.update().values(finished_at=1.0).where(runs_table.c.run_id != young))
        orphan = {"run_id": "gone", "number": 0, "state": "open", "queue": "q", "deaths": 0, "redrives": 0}
        connection.execute(batches.insert(), [orphan])
        entry = {"kind": "sink", "document_id": "a", "payload": {}, "due_at": 1.0, "created_at": 1.0}
        connection.execute(outbox.delete())
        connection.execute(outbox.insert(), [{**entry, "attempts": 9}, {**entry, "attempts": 0}])
        facts.put(env.store, connection, f"{INGEST_DEATHS}lost", 1, 1.0)
        facts.put(env.store, connection, f"{INGEST_DEATHS}young", 2, time.time())
        facts.put(env.store, connection, "engine", "celery", 1.0)
    gone = expiry.expire(env)
    assert (gone.runs, gone.batches, gone.outbox) == (1, 1, 1)
    with env.store.read() as connection:
        assert facts.starting_with(connection, INGEST_DEATHS) == {"young": 2}
        assert facts.get(connection, "engine") == "celery"
        assert runs.get(connection, first) is None
        assert runs.get(connection, second) is not None
    assert expiry.expire(env).runs == 0
    assert states(env, "a") == {"c0": "done", "c1": "done"}


# -- stale documents


def test_documents_of_another_generator_version_are_stale(env: Environment, tmp_path: Path) -> None:
    submitted(env, "a", "one")
    submitted(env, "b", "raise:always")
    assert stale_documents(env, 10) == []
    options = {**env.settings.generator_options, "version": "2"}
    newer = Environment(load(generator=env.settings.generator, generator_options=options), env.store)
    assert sorted(stale_documents(newer, 10)) == ["a", "b"]
    assert len(stale_documents(newer, 1)) == 1
    submitted(newer, "b")
    assert stale_documents(newer, 10) == ["a"]  # it failed again, and was tried with this version
    admit(env.store, Submission("a", None, newer.settings.generator, newer.settings.generator_options))
    assert stale_documents(newer, 10) == []  # it is in flight


# -- retries


def test_only_the_chunks_that_are_wanted_are_tried_again(env: Environment, tmp_path: Path) -> None:
    submitted(env, "a", "good", "wrong:", "raise:4", "wrong: too")
    assert states(env, "a") == {"c0": "done", "c1": "failed", "c2": "failed", "c3": "failed"}
    with env.store.write() as connection:
        connection.execute(chunks.update().where(chunks.c.chunk_id == "c3").values(state=ChunkState.DISCARDED.value))
    before = read(tmp_path / "ledger")
    run_id = submitted(env, "a", only=frozenset({"c2"}))
    assert states(env, "a") == {"c0": "done", "c1": "failed", "c2": "done", "c3": "discarded"}
    after = read(tmp_path / "ledger") - before
    assert after == {("a", "c2"): 2}  # it raised once more, then it worked
    with env.store.read() as connection:
        run = runs.get(connection, run_id)
    assert run is not None
    assert (run.total, run.done, run.failed, run.unchanged) == (4, 1, 1, 1)
    assert run.status == RunStatus.COMPLETED_WITH_ERRORS


def test_metadata_that_many_chunks_have_is_looked_up_once_a_key(env: Environment) -> None:
    for number in range(3):
        submitted(env, f"d{number}", "The same licence stands in every document.", f"And this is in number {number}.")
    with env.store.read() as connection:
        keys = [str(key) for key in connection.execute(select(chunks.c.meta_key).distinct()).scalars()]
        found = batch_rows.generated_before(connection, [*keys, "unknown"])

    assert 4 == len(keys)
    assert set(keys) == set(found)
    assert all(meta["keywords"] is not None for meta in found.values())
