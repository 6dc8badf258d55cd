"""Limits of a connection to PostgreSQL: for an answer, a lock, a machine that is gone, a forgotten transaction."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, text

#: Seconds that a statement may take, as whoever waits for its answer counts them: a server that is frozen, or whose
#: disk hangs, counts nothing, and its kernel goes on to confirm what it gets. Tasks end before (`soft_time_limit`).
ANSWER: Final = 120.0

#: Seconds that a statement waits for a lock; a transaction of ours takes milliseconds. Shorter than `ANSWER`.
LOCK: Final = 60

#: Seconds that a transaction may lie idle: of a process that is frozen, its locks are wanted. `Client.records` reads in
#: one, and what its caller does between two pages takes its time.
IDLE: Final = 600

#: What libpq and the server do about a machine that has gone without a word: either end gives up after a minute.
_PROBES: Final = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_SESSION: Final = {
    "lock_timeout": f"{LOCK}s",
    "idle_in_transaction_session_timeout": f"{IDLE}s",
    **{f"tcp_{name}": value for name, value in _PROBES.items()},
}


def connect_args(given: Mapping[str, Any]) -> dict[str, Any]:
    """What every connection is opened with; ``given``, what the URL says, goes before the limits."""
    options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    limits = {"connect_timeout": 5, "tcp_user_timeout": 60_000, **_PROBES}
    return {
        **{name: value for name, value in limits.items() if name not in given},
        "options": f"{options} {given.get('options', '')}".strip(),
        "application_name": "smart_rag_tasks",
        # said, or psycopg gives bytes where the database has no encoding (SQL_ASCII, initdb's choice for "C")
        "client_encoding": "utf8",
    }


class LimitedConnection(psycopg.Connection[Any]):
    """A connection that is closed when an answer takes longer than its ``limit``."""

    #: Seconds.
    limit: float = ANSWER

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
        """What psycopg waits for, an answer or part of one; it asks several times a second whether to go on."""
        return super().wait(self._limited(gen), *args, **kwargs)

    def _limited(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        deadline, limit = time.monotonic() + self.limit, self.limit
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    self.close()
                    raise psycopg.OperationalError(f"no answer within {limit:.0f} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


@contextmanager
def unlimited(connection: Connection) -> Iterator[None]:
    """In the block the statements of a transaction may take as long as they like: they change large tables."""
    raw: Any = connection.connection.dbapi_connection
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    raw.limit = float("inf")
    try:
        yield
    finally:
        del raw.limit
