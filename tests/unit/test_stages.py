"""The stages as plain functions on a SQLite store: no broker, no worker. What they promise under Celery holds here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from smart_rag_tasks.errors import InvalidInput, InvalidSettings, StoreUnavailable, TransientError
from smart_rag_tasks.models import Chunk, ChunkFailure, ChunkMetadata, DocumentContext, DocumentMetadata, Lane, Outcome
from smart_rag_tasks.reliability import owners
from smart_rag_tasks.settings import load
from smart_rag_tasks.stages import control, generation, lease, maintenance, planning
from smart_rag_tasks.stages import environment as environments
from smart_rag_tasks.stages.environment import Environment
from smart_rag_tasks.stages.finish import finish
from smart_rag_tasks.stages.ingest import Admission, Submission, admit
from smart_rag_tasks.store import batches, documents, lost, open_store, outbox, runs, tallies


class Recorder:
    """A generator that notes what it is asked for, and gives what it is told to."""

    def __init__(self) -> None:
        self.fingerprint = "recorder-1"
        self.seconds_per_chunk = 0.02
        self.uses_document = False
        self.asked: list[str] = []
        self.answers: dict[str, Outcome | Exception] = {}

    def generate(self, chunks: Sequence[Chunk], document: DocumentContext) -> list[Outcome]:
        for chunk in chunks:
            self.asked.append(chunk.chunk_id)
            if isinstance(error := self.answers.get(chunk.chunk_id), Exception):
                raise error
        found = [self.answers.get(chunk.chunk_id, ChunkMetadata(keywords=("k",), gist=chunk.text)) for chunk in chunks]
        return [item for item in found if not isinstance(item, Exception)]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setattr(environments, "generator", lambda spec, options: made)
    return made


@pytest.fixture
def env(tmp_path: Path, recorder: Recorder) -> Iterator[Environment]:
    settings = load(home=tmp_path, lost_after=0.01, worker_concurrency=1)
    store = open_store(settings.store_url)
    yield Environment(settings, store)
    store.close()


def submit(env: Environment, *texts: str, name: str = "doc", **wishes: object) -> Admission:
    chunks = [Chunk(f"c{number}", text, number) for number, text in enumerate(texts)]
    return admit(env.store, replace(Submission(name, chunks, "recorder", engine="celery"), **wishes))


def work(env: Environment, run_id: str) -> list[str]:
    """Plan and run all open batches; the outcomes."""
    return [generation.run_batch(env, run_id, number).outcome for number in planning.plan(env, run_id).open]


def states(env: Environment, name: str = "doc") -> list[str]:
    with env.store.read() as connection:
        return [row.state for row in documents.chunk_rows(connection, name)]


def numbers(env: Environment, name: str) -> list[int]:
    """The batches of the document's chunks, in their order."""
    with env.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT batch FROM chunks WHERE document_id = ? ORDER BY position", (name,))
        return list(rows.scalars())


def test_from_submission_to_the_end(env: Environment, recorder: Recorder) -> None:
    run = submit(env, *(f"text {number}" for number in range(10)))

    plan = planning.plan(env, run.run_id)
    assert plan.batches > 1
    assert {"done"} == set(work(env, run.run_id))
    ending = finish(env, run.run_id)

    assert ending is not None and ending.made
    assert ("completed", 10) == (ending.result.final_status, ending.result.processed_chunks)
    assert 10 == len(recorder.asked)


def test_finish_does_nothing_while_chunks_are_open(env: Environment) -> None:
    run = submit(env, *(f"text {number}" for number in range(10)))
    planning.plan(env, run.run_id)

    assert finish(env, run.run_id) is None


@pytest.mark.parametrize(
    "described",
    [
        None,
        {"title": "x"},
        DocumentMetadata(summary=5),
        DocumentMetadata(topics=None),
        DocumentMetadata(language="x" * 17),
    ],  # type: ignore[arg-type]
)
@pytest.mark.parametrize("again", [False, True])
def test_a_describe_that_gives_no_description_costs_the_summary_only(
    env: Environment, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, described: object, again: bool
) -> None:
    monkeypatch.setattr(recorder, "describe", lambda document, chunks: described, raising=False)
    run = submit(env, "text", hint="The title")
    work(env, run.run_id)

    ending = finish(env, run.run_id, again=again)

    assert ending is not None and "completed" == ending.result.final_status
    with env.store.read() as connection:
        document = documents.get(connection, "doc")
    assert ("The title", "") == (document.title, document.summary)


class Cancelled(BaseException):
    """As asyncio's: no Exception."""


@pytest.mark.parametrize("method", ["generate", "describe", "title"])
def test_what_is_no_exception_costs_what_an_exception_costs(
    env: Environment, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def cancelled(*_: object) -> None:
        raise Cancelled("the text")

    monkeypatch.setattr(recorder, method, cancelled, raising=False)
    run = submit(env, "the text", hint="The title")
    assert {"done"} == set(work(env, run.run_id))

    ending = finish(env, run.run_id)

    assert ending is not None
    assert ("failed" if method == "generate" else "completed") == ending.result.final_status


def test_somebody_who_ends_the_process_in_describe_has_died_on_it(
    env: Environment, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: object) -> None:
        raise SystemExit(1)

    monkeypatch.setattr(recorder, "describe", leave, raising=False)
    run = submit(env, "text", hint="The title")
    work(env, run.run_id)
    for number in range(3):
        monkeypatch.setattr(owners, "me", lambda number=number: f"{owners.host()}|{2**22 + number}|0.0")
        with pytest.raises(SystemExit):
            finish(env, run.run_id, again=True)
    monkeypatch.setattr(owners, "me", lambda: f"{owners.host()}|{2**22 + 3}|0.0")

    ending = finish(env, run.run_id, again=True)

    assert ending is not None and "completed" == ending.result.final_status


def test_a_transient_error_of_describe_does_not_put_the_end_off(
    env: Environment, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def describe(document: DocumentContext, chunks: object) -> None:
        raise TransientError

    monkeypatch.setattr(recorder, "describe", describe, raising=False)
    run = submit(env, "text")
    work(env, run.run_id)

    assert finish(env, run.run_id) is not None


def test_a_generator_that_is_gone_at_the_end_costs_the_summary_only(
    env: Environment, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(spec: str, options: object) -> None:
        raise InvalidSettings

    run = submit(env, "text")
    work(env, run.run_id)
    monkeypatch.setattr(environments, "generator", gone)

    ending = finish(env, run.run_id)

    assert ending is not None and "completed" == ending.result.final_status


@pytest.mark.parametrize(("given", "title"), [(None, "The hint"), ("half a \ud800", "half a \ufffd")])
def test_a_title_is_a_text_that_can_be_stored(
    env: Environment, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, given: object, title: str
) -> None:
    monkeypatch.setattr(recorder, "title", lambda chunks, hint: given, raising=False)
    planning.plan(env, submit(env, "text", hint="The hint").run_id)

    with env.store.read() as connection:
        assert title == documents.get(connection, "doc").title


def test_only_one_caller_ends_a_run(env: Environment) -> None:
    run = submit(env, "text")
    work(env, run.run_id)

    assert [True, False] == [ending.made for ending in (finish(env, run.run_id), finish(env, run.run_id)) if ending]


def test_a_message_that_comes_twice_is_one_run_whatever_the_settings_are_by_now(env: Environment) -> None:
    first = submit(env, "a", "b", run_id="mine")
    work(env, first.run_id)
    finish(env, first.run_id)

    assert replace(first, created=False) == submit(env, "a", "b", run_id="mine", generator="another")


@pytest.mark.parametrize("other", [{"name": "other"}, {"force": True}, {"chunks": None}])
def test_a_run_id_of_another_submission_is_refused_and_nothing_is_stored(
    env: Environment, other: dict[str, object]
) -> None:
    submit(env, "a", run_id="mine")

    with pytest.raises(InvalidInput, match=r"task_id: mine is the id of another submission \(of doc\)"):
        submit(env, "a", run_id="mine", **other)
    with env.store.read() as connection:
        assert ["doc"] == documents.find(connection, "")


def test_who_submits_the_same_again_is_told_once_also_after_the_end(env: Environment) -> None:
    def told() -> list[object]:
        with env.store.read() as connection:
            letters = [row.payload for row in outbox.due(connection, time.time(), 9) if row.kind == "callback"]
        return [letter.get("task_id") or letter["signature"]["task"] for letter in letters]

    def again(*names: str, **wishes: object) -> Admission:
        return submit(env, "a", callbacks=[{"task": name} for name in names], **wishes)

    again("one", run_id="mine")
    again("one", "two", run_id="mine")
    again("two", run_id="other")
    again("two", run_id="other")
    work(env, "mine")
    finish(env, "mine")
    assert ["one", "two", "other"] == told()

    assert "mine" == again("two", "three", run_id="mine").run_id
    assert ["one", "two", "other", "three"] == told()


def test_planning_twice_is_planning_once(env: Environment) -> None:
    run = submit(env, *(f"text {number}" for number in range(10)))
    assert planning.plan(env, run.run_id) == planning.plan(env, run.run_id)


@pytest.mark.parametrize("count", [1, 9, 10, 11, 20, 25])
def test_a_new_document_is_numbered_as_one_that_is_compared(
    env: Environment, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(planning, "PAGE", 10)
    texts = [f"text {number}" for number in range(count)]
    new = submit(env, *texts, name="new")
    plan = planning.plan(env, new.run_id)
    monkeypatch.setattr(runs, "is_new", lambda *given: False)
    compared = submit(env, *texts, name="compared")

    assert planning.plan(env, compared.run_id).open == plan.open
    assert numbers(env, "new") == numbers(env, "compared")
    assert sorted(set(numbers(env, "new"))) == list(plan.open)


def test_chunks_that_come_to_stored_ones_are_all_that_is_generated(env: Environment, recorder: Recorder) -> None:
    first = submit(env, "one", "two")
    work(env, first.run_id)
    finish(env, first.run_id)

    wish = Submission("doc", [Chunk("c2", "three")], "recorder", engine="celery", additive=True)
    second = admit(env.store, wish)
    work(env, second.run_id)
    ending = finish(env, second.run_id)

    assert ending is not None and (2, 3) == (ending.result.unchanged_chunks, ending.result.processed_chunks)
    assert ["c0", "c1", "c2"] == recorder.asked


def test_what_a_run_learns_about_its_document_makes_no_other_key(env: Environment, recorder: Recorder) -> None:
    recorder.uses_document = True
    for unchanged in (0, 2):
        run = submit(env, "The first of the texts.", "The second of them is this one.")
        work(env, run.run_id)
        ending = finish(env, run.run_id)
        assert ending is not None and unchanged == ending.result.unchanged_chunks
    with env.store.read() as connection:
        assert "en" == documents.get(connection, "doc").language
    assert 2 == len(recorder.asked)


def test_a_changed_fingerprint_means_all_of_it_again(env: Environment, recorder: Recorder) -> None:
    first = submit(env, "one", "two")
    work(env, first.run_id)
    finish(env, first.run_id)
    recorder.fingerprint = "recorder-2"

    second = submit(env, "one", "two")
    work(env, second.run_id)

    assert 4 == len(recorder.asked)
    ending = finish(env, second.run_id)
    assert ending is not None and 0 == ending.result.unchanged_chunks


def test_what_a_run_failed_with_is_gone_when_its_chunk_is_done_again(env: Environment, recorder: Recorder) -> None:
    def run(force: bool = False) -> list[tuple[str, str, str, str]]:
        admission = submit(env, "one", "two", force=force)
        work(env, admission.run_id)
        finish(env, admission.run_id)
        with env.store.read() as connection:
            rows = documents.chunk_rows(connection, "doc")
            return [(row.state, row.error_kind, row.error, row.traceback[:9]) for row in rows]

    fine = [("done", "", "", "")] * 2
    assert fine == run()
    recorder.answers["c1"] = ValueError("no")
    assert ("failed", "ValueError", "no", "Traceback") == run(force=True)[1]
    asked = len(recorder.asked)
    assert fine == run()
    assert asked == len(recorder.asked), "what was generated before is still there"


def test_equal_texts_in_a_document_are_generated_once(env: Environment, recorder: Recorder) -> None:
    run = submit(env, "same", "same", "other")
    work(env, run.run_id)

    assert ["c0", "c2"] == sorted(recorder.asked)
    assert ["done"] * 3 == states(env)


def test_a_batch_that_is_held_is_left_alone(env: Environment, recorder: Recorder) -> None:
    run = submit(env, "text")
    planning.plan(env, run.run_id)
    held = lease.take(env, run.run_id, 0)
    assert isinstance(held, lease.Lease)
    with env.store.write() as connection:  # as if another living process on another host held it
        connection.exec_driver_sql("UPDATE batches SET owner = 'elsewhere/1|1|1.00'")

    assert "held" == generation.run_batch(env, run.run_id, 0).outcome
    assert [] == recorder.asked


@pytest.mark.parametrize("owner", [f"{owners.host()}|999999|1.00", "elsewhere/1|1|1.00"])
def test_the_dead_and_the_expired_lose_their_lease(env: Environment, owner: str) -> None:
    run = submit(env, "text")
    planning.plan(env, run.run_id)
    until = time.time() + (1000 if owner.startswith(owners.host()) else -1)
    with env.store.write() as connection:
        connection.exec_driver_sql("UPDATE batches SET owner = ?, lease_until = ?", (owner, until))

    assert "done" == generation.run_batch(env, run.run_id, 0).outcome


def test_after_deaths_a_batch_works_chunk_by_chunk_and_the_guilty_is_quarantined(
    env: Environment, recorder: Recorder
) -> None:
    recorder.seconds_per_chunk = 0.001  # one batch
    run = submit(env, "good", "guilty", "good too")
    planning.plan(env, run.run_id)
    with env.store.write() as connection:  # three tries: the batch's, and two that marked the guilty
        connection.exec_driver_sql("UPDATE batches SET owner = ?", (f"{owners.host()}|999999|1.00",))
        connection.exec_driver_sql("UPDATE chunks SET marks = 2 WHERE chunk_id = 'c1'")

    generation.run_batch(env, run.run_id, 0)

    assert ["done", "quarantined", "done"] == states(env)
    assert ["c0", "c2"] == recorder.asked


def test_an_error_is_looked_for_chunk_by_chunk(env: Environment, recorder: Recorder) -> None:
    recorder.answers["c1"] = ValueError("secret words of the text")
    run = submit(env, "one", "secret words of the text", "three")
    work(env, run.run_id)

    assert ["done", "failed", "done"] == states(env)
    with env.store.read() as connection:
        failed = next(documents.chunk_rows(connection, "doc", state="failed"))
    assert ("ValueError", "<chunk text>") == (failed.error_kind, failed.error)
    assert "secret" not in failed.traceback and "Traceback" in failed.traceback


def test_a_wrong_field_fails_its_chunk_alone_and_at_once(env: Environment, recorder: Recorder) -> None:
    recorder.seconds_per_chunk = 0.001  # one batch
    recorder.answers["c1"] = ChunkMetadata(tokens="secret")  # type: ignore[arg-type]
    run = submit(env, "one", "two", "three")

    assert ["done"] == work(env, run.run_id)
    assert ["done", "failed", "done"] == states(env)
    assert ["c0", "c1", "c2"] == recorder.asked
    with env.store.read() as connection:
        failed = next(documents.chunk_rows(connection, "doc", state="failed"))
    assert "GeneratorError" == failed.error_kind
    assert "ChunkMetadata.tokens: give a whole number from 0 to 2147483647" == failed.error


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("half a character \ud800, a NUL \x00"), "half a character \ufffd, a NUL \ufffd"),
        (Unspeakable(), "Unspeakable"),
    ],
)
def test_an_error_is_recorded_whatever_it_says(
    env: Environment, recorder: Recorder, error: Exception, told: str
) -> None:
    recorder.answers["c0"] = error
    run = submit(env, "one")
    work(env, run.run_id)

    with env.store.read() as connection:
        (chunk,) = documents.chunk_rows(connection, "doc")
    assert told == chunk.error


def test_a_queued_run_that_is_paused_is_planned_and_waits(env: Environment, recorder: Recorder) -> None:
    run = submit(env, "one")
    control.pause(env, "doc")

    assert ["paused"] == work(env, run.run_id)
    with env.store.read() as connection:
        document = documents.get(connection, "doc")
        assert ("paused", "paused") == (planning.look(env, run.run_id).status, getattr(document, "status", ""))
    assert [] == recorder.asked

    control.resume(env, "doc")
    assert ["done"] == work(env, run.run_id)


def test_what_is_worth_repeating_waits_for_its_time(env: Environment, recorder: Recorder) -> None:
    recorder.answers["c0"] = ChunkFailure("RateLimited", "slow down", transient=True, retry_after=100.0)
    run = submit(env, "one")

    assert ["waiting"] == work(env, run.run_id)
    assert "not due" == generation.run_batch(env, run.run_id, 0).outcome
    with env.store.read() as connection:
        batch = batches.look(connection, run.run_id, 0)
    assert batch is not None and 90 < batch.due_at - time.time() < 101


def test_results_of_a_superseded_run_are_not_written(env: Environment, recorder: Recorder) -> None:
    old = submit(env, "old text")
    planning.plan(env, old.run_id)
    held = lease.take(env, old.run_id, 0)
    assert isinstance(held, lease.Lease)
    new = submit(env, "new text")

    generation._Batch(env, held).work()  # the old run's worker knows nothing yet

    assert ["pending"] == states(env)
    work(env, new.run_id)
    assert ["done"] == states(env)


def test_cancel_is_durable_and_costs_a_message_one_look(env: Environment, recorder: Recorder) -> None:
    run = submit(env, "text")
    planning.plan(env, run.run_id)
    control.cancel(env, "doc")

    assert "gone" == generation.run_batch(env, run.run_id, 0).outcome
    assert [] == recorder.asked
    ending = finish(env, run.run_id)
    assert ending is not None and not ending.made and "cancelled" == ending.result.final_status


def nothing_waits(_queue: str) -> int:
    return 0


def a_long_queue(_queue: str) -> int:
    return 1000


def test_the_sweep_sends_what_was_lost_and_leaves_alone_what_is_queued(env: Environment) -> None:
    run = submit(env, "text")
    time.sleep(0.05)

    assert () == maintenance.sweep(env, "celery", a_long_queue).redrives
    (entry,) = maintenance.sweep(env, "celery", nothing_waits).redrives
    assert (run.run_id, None) == (entry.run_id, entry.numbers)

    planning.plan(env, run.run_id)
    time.sleep(0.05)
    assert () == maintenance.sweep(env, "celery", a_long_queue).redrives
    (batch,) = maintenance.sweep(env, "celery", nothing_waits).redrives
    assert (run.run_id, (0,)) == (batch.run_id, batch.numbers)


def test_the_sweep_ends_what_is_settled(env: Environment) -> None:
    run = submit(env, "text")
    work(env, run.run_id)
    with env.store.write() as connection:
        connection.exec_driver_sql("UPDATE runs SET progress_at = 1, started_at = 1")

    assert (run.run_id,) == maintenance.sweep(env, "celery", nothing_waits).settled


def test_a_value_in_the_store_that_is_no_number_does_not_stop_the_sweep(env: Environment) -> None:
    submit(env, "text")
    with env.store.write() as connection:
        for delta in ("many", 2):
            connection.exec_driver_sql("INSERT INTO tallies (name, label, delta) VALUES ('tokens', '', ?)", (delta,))

    maintenance.sweep(env, "celery", nothing_waits)

    with env.store.read() as connection:
        assert not tallies.waiting(connection)
        assert 2 == tallies.totals(connection)["tokens", ""]


def test_an_error_of_the_counts_or_of_one_run_costs_no_other_its_sweep(
    env: Environment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = submit(env, "one", name="bad"), submit(env, "two", name="good")
    republished = lost.republished_run

    def republish(connection: Connection, run_id: str, now: float) -> None:
        if run_id == bad.run_id:
            raise TypeError
        republished(connection, run_id, now)

    monkeypatch.setattr(lost, "republished_run", republish)
    monkeypatch.setattr(tallies, "fold", lambda store, connection: 1 / 0)
    time.sleep(0.05)

    assert [good.run_id] == [item.run_id for item in maintenance.sweep(env, "celery", nothing_waits).redrives]
    assert bad.run_id in caplog.text and "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("error", [StoreUnavailable(), type("SoftTimeLimitExceeded", (Exception,), {})()])
def test_what_all_runs_would_meet_ends_the_sweep(error: Exception) -> None:
    with pytest.raises(type(error)), maintenance.alone("run 1"):
        raise error


def test_a_message_overtaken_by_later_ones_is_lost_even_in_a_long_queue(env: Environment) -> None:
    early, late = submit(env, "one", name="early"), submit(env, "two", name="late")
    planning.plan(env, early.run_id)
    planning.plan(env, late.run_id)
    with env.store.write() as connection:
        connection.exec_driver_sql("UPDATE batches SET published_at = 100 WHERE run_id = ?", (early.run_id,))
        later = "UPDATE batches SET published_at = 200, started_at = 300, state = 'done' WHERE run_id = ?"
        connection.exec_driver_sql(later, (late.run_id,))

    (found,) = maintenance.sweep(env, "celery", a_long_queue).redrives
    assert early.run_id == found.run_id


def test_interactive_runs_have_their_batches_on_the_priority_queue(env: Environment) -> None:
    run = submit(env, *(f"text {number}" for number in range(10)), lane=Lane.INTERACTIVE)
    planning.plan(env, run.run_id)
    with env.store.read() as connection:
        batch = batches.look(connection, run.run_id, 0)
    assert batch is not None and "priority_queue" == batch.queue


@pytest.mark.parametrize(
    ("cost", "chunks", "expected"),
    [
        (0.0016, 10, 31),  # one batch's work in all
        (0.0016, 10_000, 32),
        (0.0016, 100, 16),  # half as much work, where that is more than a quarter of a slot's share
        (0.0016, 240, 30),  # a quarter of a slot's share
        (0.2, 100, 1),
        (0.0001, 100_000, 256),
        (0.0016, 100_000, 99),  # at most 1,024 messages
    ],
)
def test_batches_follow_cost(cost: float, chunks: int, expected: int) -> None:
    size = planning.batch_size(cost, chunks, seconds=0.05, slots=2, most=256, own_cap=None)
    assert expected == size or (chunks <= expected and size >= chunks)


@pytest.mark.parametrize("slots", [1, 2, 3, 8, 64])
def test_few_expensive_chunks_are_batches_on_any_number_of_slots(slots: int) -> None:
    for chunks in range(1, 40):
        size = planning.batch_size(2.0, chunks, seconds=0.1, slots=slots, most=256, own_cap=None)
        assert 1 == size


def test_a_models_own_cap_holds() -> None:
    assert 8 == planning.batch_size(0.0001, 1000, seconds=0.05, slots=2, most=256, own_cap=8)
