"""A cluster of our image: the pipeline end to end, and what a cluster lives through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_celery import CeleryTestSetup
from stack import wait_until
from testing_generators import read

from smart_rag_tasks.client import Client

CHUNKS = 300

Submit = Callable[[str, int], Any]


def generated(ledger: Path) -> int:
    """How many calls the generators have had."""
    return sum(read(ledger).values())


def end_of(store: Client, document_id: str, timeout: float = 90.0) -> dict[str, Any]:
    """The document's status as soon as its run has ended, read from the store."""
    return wait_until(
        lambda: (status := store.status(document_id))["status"].startswith("completed") and status,
        timeout=timeout,
        what=f"the end of {document_id}",
    )


def test_a_document_goes_through_end_to_end(
    celery_setup: CeleryTestSetup, submit: Submit, store: Client, ledger: Path
) -> None:
    assert celery_setup.ready(control=True)

    final = submit("manual", CHUNKS).get(timeout=60)

    assert ("completed", CHUNKS, 0) == (final["final_status"], final["processed_chunks"], final["failed_chunks"])
    document = store.document("manual")
    assert [["c0"], ["c1"]] == [chunk["metadata"]["keywords"] for chunk in document["chunks"][:2]]
    assert {1} == set(read(ledger).values())
    assert CHUNKS == len(read(ledger))


def test_a_worker_container_is_killed_in_mid_run(
    celery_setup: CeleryTestSetup, second_container: Any, submit: Submit, store: Client, ledger: Path
) -> None:
    result = submit("manual", CHUNKS)
    wait_until(lambda: generated(ledger) > CHUNKS / 4, timeout=60, what="a quarter of the chunks")

    celery_setup.worker.kill()
    assert generated(ledger) < CHUNKS  # there was something left to do

    final = result.get(timeout=90)
    assert ("completed", CHUNKS) == (final["final_status"], final["processed_chunks"])
    assert CHUNKS == store.status("manual")["done"]
    calls = read(ledger)
    assert CHUNKS == len(calls)
    # Its two processes had a batch each in hand, of which the results were not in the store yet.
    assert 2 >= max(calls.values())


def test_the_broker_container_is_restarted_and_comes_back_empty(
    celery_setup: CeleryTestSetup, submit: Submit, store: Client, ledger: Path
) -> None:
    submit("manual", CHUNKS)
    wait_until(lambda: generated(ledger) > CHUNKS / 4, timeout=60, what="a quarter of the chunks")

    celery_setup.broker.restart()

    assert "--appendonly no" in " ".join(celery_setup.broker.container.attrs["Config"]["Cmd"])  # it forgot everything
    assert ("completed", CHUNKS) == (end_of(store, "manual")["status"], store.status("manual")["done"])
    assert CHUNKS == len(read(ledger))


def test_a_rolling_upgrade_to_another_image_does_nothing_twice(
    celery_setup: CeleryTestSetup,
    request: pytest.FixtureRequest,
    submit: Submit,
    ledger: Path,
) -> None:
    old, count = celery_setup.worker.container, 4 * CHUNKS
    result = submit("manual", count)
    wait_until(lambda: generated(ledger) > CHUNKS / 4, timeout=60, what="the first chunks")

    new = request.getfixturevalue("next_container")
    old._container.stop(timeout=25)  # as compose does it: SIGTERM, and time for the soft shutdown
    old.reload()
    assert 0 == old.attrs["State"]["ExitCode"]
    assert generated(ledger) < count  # there was something left to do

    final = result.get(timeout=90)
    assert ("completed", count) == (final["final_status"], final["processed_chunks"])
    assert {1} == set(read(ledger).values())
    assert "next" == new.env["SMART_RAG_RELEASE"]
    for worker in (old, new):
        assert "generate_batch" in worker.logs()  # both had a part in it
