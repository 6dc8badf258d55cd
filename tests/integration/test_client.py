"""A Client's connections: given back when it is closed, and when nobody has it any more."""

from __future__ import annotations

import gc
from collections.abc import Callable

import psutil
import pytest
from stack import chunks_of

from smart_rag_tasks import Client
from smart_rag_tasks.settings import Settings, load
from smart_rag_tasks.store import Store


@pytest.fixture
def settings(new_store: Store, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a store of the test's own; no broker is asked."""
    monkeypatch.setattr("smart_rag_tasks.dispatch.dispatch", lambda _: True)
    return load(store=new_store.url.render_as_string(hide_password=False))


def submit_and_close(settings: Settings) -> None:
    with Client(settings) as client:
        client.submit("manual", chunks_of("Oil the hinge."))


def submit_and_drop(settings: Settings) -> None:
    Client(settings).submit("manual", chunks_of("Oil the hinge."))
    gc.collect()


@pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning")  # psycopg's, which closes it
@pytest.mark.parametrize("use", [submit_and_close, submit_and_drop])
def test_a_client_leaves_no_connection(settings: Settings, use: Callable[[Settings], None]) -> None:
    use(settings)  # what the first one loads stays
    gc.collect()
    before = psutil.Process().num_fds()
    for _ in range(3):
        use(settings)
    assert before == psutil.Process().num_fds()
