"""What a newer submission removed stays removed, whatever is done next; nothing goes before a run's end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smart_rag_tasks import dispatch
from smart_rag_tasks.client import Client
from smart_rag_tasks.dead_letters import Selection, find, retry
from smart_rag_tasks.models import TERMINAL, Json, RunStatus
from smart_rag_tasks.settings import load
from smart_rag_tasks.stages import planning, single
from smart_rag_tasks.stages.finish import end_early, finish
from smart_rag_tasks.stages.generation import run_batch
from smart_rag_tasks.store.engine import Store


class Desk:
    """One document and what is done to it; its worker is this process, and works only when told."""

    def __init__(self, store: Store, ledger: Path) -> None:
        url = store.url.render_as_string(hide_password=False)
        generator = {"generator": "testing_generators:LedgerGenerator", "generator_options": {"ledger": str(ledger)}}
        self.client = Client(load(store=url, max_batch=2, **generator))
        self.env = self.client.env

    def submit(self, *texts: str, **wishes: Any) -> None:
        """Chunks named by the first word of their texts."""
        self.client.submit("doc", [{"chunk_id": text.split()[0], "text": text} for text in texts], **wishes)

    def again(self, **wishes: Any) -> None:
        self.client.submit("doc", **wishes)

    def add(self, text: str) -> None:
        """As `batch_metadata_generation` does."""
        chunk = {"chunk_id": text.split(maxsplit=1)[0], "text": text, "document_id": "doc"}
        for name, chunks in single.by_document([chunk], self.env.settings).items():
            dispatch.submit(self.env.store, self.env.settings, name, chunks, additive=True)

    def one(self, text: str) -> None:
        """As `generate_metadata_for_chunk` does."""
        assert "completed" == single.generate_one(self.env, "doc", text.split(maxsplit=1)[0], text)["status"]

    def half(self) -> None:
        """Work on the first batch only."""
        run_id = self.run_id
        run_batch(self.env, run_id, planning.plan(self.env, run_id).open[0])

    def batches(self) -> None:
        """Work on all batches; the end is not made."""
        run_id = self.run_id
        for number in planning.plan(self.env, run_id).open:
            run_batch(self.env, run_id, number)

    def end(self) -> None:
        self.batches()
        finish(self.env, self.run_id)

    def fail(self) -> None:
        """The run fails as a whole: it cannot be planned."""
        run = planning.look(self.env, self.run_id)
        with self.env.store.write() as connection:
            end_early(connection, run, RunStatus.FAILED, "planning failed", 0.0)

    def dead_letters(self) -> None:
        assert [] == retry(self.env, find(self.env, Selection(document_id="doc"))[0])

    @property
    def run_id(self) -> str:
        return str(self.client.status("doc")["run_id"])

    def stored(self) -> list[Json]:
        return list(self.client.document("doc")["chunks"])


@pytest.fixture
def desk(new_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(dispatch, "dispatch", lambda admission: True)  # nothing is sent
    made = Desk(new_store, tmp_path / "ledger")
    yield made
    made.env.store.close()


OLD = ("a one", "b one", "c one", "d one", "e one", "f one")
NEW = ("f one", "b two", "g two")


#: What is done after OLD has ended and NEW was submitted, and the chunks that are stored when that has ended.
SEQUENCES: dict[str, tuple[Callable[[Desk], Any], tuple[str, ...]]] = {
    "nothing": (lambda desk: None, NEW),
    "cancel, retry": (lambda desk: (desk.client.cancel("doc"), desk.client.retry("doc")), NEW),
    "half, cancel, retry": (lambda desk: (desk.half(), desk.client.cancel("doc"), desk.client.retry("doc")), NEW),
    "batches, cancel, retry": (lambda desk: (desk.batches(), desk.client.cancel("doc"), desk.client.retry("doc")), NEW),
    "cancel, retry, cancel, retry": (
        lambda desk: [(desk.client.cancel("doc"), desk.client.retry("doc")) for _ in range(2)],
        NEW,
    ),
    "cancel, regenerate": (lambda desk: (desk.client.cancel("doc"), desk.client.regenerate("doc")), NEW),
    "cancel, stored ones": (lambda desk: (desk.client.cancel("doc"), desk.again()), NEW),
    "cancel, add": (lambda desk: (desk.client.cancel("doc"), desk.add("p")), (*NEW, "p")),
    "failed, retry": (lambda desk: (desk.fail(), desk.client.retry("doc")), NEW),
    "failed, dead-letters retry": (lambda desk: (desk.fail(), desk.dead_letters()), NEW),
    "retry": (lambda desk: desk.client.retry("doc"), NEW),
    "half, retry": (lambda desk: (desk.half(), desk.client.retry("doc")), NEW),
    "regenerate": (lambda desk: desk.client.regenerate("doc"), NEW),
    "half, regenerate": (lambda desk: (desk.half(), desk.client.regenerate("doc")), NEW),
    "regenerate what is stale": (lambda desk: desk.client.regenerate("doc", stale=True), NEW),
    "stored ones": (lambda desk: desk.again(), NEW),
    "add": (lambda desk: desk.add("p"), (*NEW, "p")),
    "half, add, add": (lambda desk: (desk.half(), desk.add("p"), desk.add("q")), (*NEW, "p", "q")),
    "add what was removed": (lambda desk: desk.add("a one"), (*NEW, "a one")),
    "one": (lambda desk: desk.one("p"), (*NEW, "p")),
    "one that was removed": (lambda desk: desk.one("a one"), (*NEW, "a one")),
    "one that was removed, with another text": (lambda desk: desk.one("a two"), (*NEW, "a two")),
    "all, new, batches, one that was removed": (
        lambda desk: (desk.submit(*OLD), desk.submit(*NEW), desk.batches(), desk.one("a one")),
        (*NEW, "a one"),
    ),
    "one that is there": (lambda desk: desk.one("b two"), NEW),
    "one, cancel, retry": (
        lambda desk: (desk.one("p"), desk.client.cancel("doc"), desk.client.retry("doc")),
        (*NEW, "p"),
    ),
    "all of it again, retry": (lambda desk: (desk.submit(*OLD), desk.client.retry("doc")), OLD),
    "less, retry": (lambda desk: (desk.submit("b two"), desk.client.retry("doc")), ("b two",)),
    "half, less, cancel, less, retry": (
        lambda desk: (desk.half(), desk.submit("b two"), desk.client.cancel("doc"), desk.submit("g"), desk.again()),
        ("g",),
    ),
    "none, cancel, retry": (
        lambda desk: (desk.submit(), desk.client.cancel("doc"), desk.client.retry("doc")),
        (),
    ),
    "delete, submit, retry": (
        lambda desk: (desk.client.delete("doc"), desk.submit("h"), desk.client.retry("doc")),
        ("h",),
    ),
    "delete, add": (lambda desk: (desk.client.delete("doc"), desk.add("p")), ("p",)),
    "pause, regenerate": (lambda desk: (desk.client.pause("doc"), desk.client.regenerate("doc")), NEW),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_stored_is_what_was_submitted_last(desk: Desk, name: str) -> None:
    act, expected = SEQUENCES[name]
    desk.submit(*OLD)
    desk.end()
    desk.submit(*NEW)

    act(desk)
    desk.end()

    chunks = desk.stored()
    assert list(expected) == [chunk["text"] for chunk in chunks]
    assert list(range(len(expected))) == [chunk["position"] for chunk in chunks]
    assert {"done"} >= {chunk["status"] for chunk in chunks}
    status = desk.client.status("doc")
    assert status["status"] in TERMINAL and len(expected) == status["total"]


def test_what_is_removed_is_there_until_the_end(desk: Desk) -> None:
    desk.submit(*OLD)
    desk.end()
    desk.submit(*NEW)
    desk.client.cancel("doc")
    desk.client.retry("doc")
    desk.batches()

    assert {*OLD, *NEW} - {"b one"} == {chunk["text"] for chunk in desk.stored()}


def test_a_failed_chunk_that_was_removed_is_not_brought_back_by_its_dead_letter(desk: Desk) -> None:
    desk.submit("a one", "b wrong:")
    desk.end()
    desk.submit("a one", "c two")
    desk.client.cancel("doc")

    desk.dead_letters()
    desk.end()

    assert ["a one", "c two"] == [chunk["text"] for chunk in desk.stored()]
