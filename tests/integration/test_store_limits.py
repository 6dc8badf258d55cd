"""PostgreSQL that does not answer, or not in time: whoever waits is told so, after a limit."""

from __future__ import annotations

import signal
import time

import psutil
import pytest
from sqlalchemy import text

from smart_rag_tasks.errors import StoreUnavailable
from smart_rag_tasks.store import Store, facts, postgres

pytestmark = pytest.mark.parametrize("new_store", ["postgresql"], indirect=True)


def settings_of(store: Store) -> dict[str, str]:
    with store.read() as connection:
        return {row[0]: row[1] for row in connection.execute(text("SELECT name, setting FROM pg_settings"))}


def test_a_frozen_server_is_given_up(new_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kernel goes on to confirm what it gets: nothing but our own clock helps."""
    monkeypatch.setattr(postgres.LimitedConnection, "limit", 1.0)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="no answer within 1 s"), new_store.write() as connection:
        server = psutil.Process(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
        server.send_signal(signal.SIGSTOP)
        try:
            facts.put(new_store, connection, "name", 1, 0.0)
        finally:
            server.send_signal(signal.SIGCONT)
    assert time.monotonic() - began < 5
    with new_store.read() as connection:  # over a connection of its own
        assert not facts.starting_with(connection, "name")


def test_a_lock_is_waited_for_so_long(new_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgres._SESSION, "lock_timeout", "1s")
    impatient = Store(new_store.url.render_as_string(hide_password=False))
    with new_store.write() as connection:
        facts.put(new_store, connection, "name", 1, 0.0)
        with pytest.raises(StoreUnavailable, match="lock timeout"), impatient.write() as second:
            facts.put(impatient, second, "name", 2, 0.0)
    impatient.close()


def test_a_migration_has_no_limit(new_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres.LimitedConnection, "limit", 0.3)
    with new_store.write() as connection:
        with new_store.unlimited(connection):
            assert "0" == connection.execute(text("SHOW lock_timeout")).scalar()
            connection.execute(text("SELECT pg_sleep(0.6)"))
        with pytest.raises(StoreUnavailable), new_store.read() as other:
            other.execute(text("SELECT pg_sleep(0.6)"))


def test_what_the_url_says_goes_before(new_store: Store) -> None:
    ours = settings_of(new_store)
    query = {"options": "-c lock_timeout=7s", "keepalives_idle": "99"}
    named = Store(new_store.url.update_query_dict(query).render_as_string(hide_password=False))
    theirs = settings_of(named)
    named.close()

    assert ("60000", "600000") == (ours["lock_timeout"], ours["idle_in_transaction_session_timeout"])
    assert ("7000", "600000") == (theirs["lock_timeout"], theirs["idle_in_transaction_session_timeout"])
    assert {"keepalives_idle", "tcp_user_timeout"} <= postgres.connect_args({}).keys()
    assert "keepalives_idle" not in postgres.connect_args(query)
