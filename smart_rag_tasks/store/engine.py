"""Opening the store: one engine, write and read transactions, errors in our own words."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url

from ..errors import InvalidInput, InvalidSettings, StoreDeadlock, StoreFull, StoreUnavailable

T = TypeVar("T")
#: Seconds for which a store may be away while somebody waits for work.
PATIENCE = 60.0

#: What makes an INSERT of one dialect.
Insert: TypeAlias = Callable[[Table], sqlite.Insert | postgresql.Insert]

#: Seconds a SQLite writer waits for the lock; a transaction of ours takes milliseconds.
BUSY_TIMEOUT = 10.0
#: Seconds between a writer's first tries, and their number: SQLite's own waiting begins with a millisecond and doubles,
#: which left a core idle for a tenth of the time where two processes finish small documents.
_TRY_AGAIN = 0.0002
_TRIES = 25

#: Phrases by which SQLite and PostgreSQL say that there is no room left.
_FULL = ("disk is full", "No space left", "could not extend file", "DiskFull", "disk I/O error")

#: PostgreSQL's class of errors for what is larger than it takes (a row of an index, say): the same at every try.
_OVER_A_LIMIT = "54"


class Store:
    """The database of documents, runs and batches. One a process; make it after a fork, never before."""

    def __init__(self, url: str, *, full_sync: bool = False) -> None:
        self.url = _normalized(url)
        self.engine = _make_engine(self.url, full_sync)
        self._writer = self.engine.execution_options(write=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether the store is a SQLite file."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One write transaction: committed at the end, rolled back on any exception."""
        with _translated(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One read transaction: a consistent view."""
        with _translated(), self.engine.connect() as connection:
            yield connection

    def unlimited(self, connection: Connection) -> AbstractContextManager[None]:
        """In the block the transaction's statements may take any time, as those of migrations do."""
        if self.is_sqlite:
            return nullcontext()
        from . import postgres

        return postgres.unlimited(connection)

    @property
    def insert(self) -> Insert:
        """The dialect's own INSERT, which knows ON CONFLICT: ``store.insert(table)``."""
        return sqlite.insert if self.is_sqlite else postgresql.insert

    def patiently(self, action: Callable[[], T], *, patience: float = PATIENCE) -> T:
        """``action()``, repeated while the store does not answer, for ``patience`` seconds at the most."""
        deadline, pause = time.monotonic() + patience, 0.1
        while True:
            try:
                return action()
            except (StoreUnavailable, StoreFull):
                if time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


def _normalized(url: str) -> URL:
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise InvalidSettings(
            "SMART_RAG_STORE_URL: not a database URL; use sqlite:///FILE or postgresql://USER@HOST/NAME"
        ) from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise InvalidSettings(
            f"SMART_RAG_STORE_URL: {parsed.get_backend_name()} is not supported; use sqlite or postgresql"
        )
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise InvalidSettings(
            f"SMART_RAG_STORE_URL: {parsed.drivername} is not supported; leave the driver out: sqlite:// or postgresql://"
        )
    return parsed


def file_of(url: str) -> Path | None:
    """The file of a SQLite store, None for another."""
    parsed = _normalized(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


def missing_file(url: str) -> str:
    """The file of a SQLite store that is not there (yet), "" for a store that may be."""
    file = file_of(url)
    return str(file) if file and not file.exists() else ""


def _make_engine(url: URL, full_sync: bool) -> Engine:
    options: dict[str, Any] = {
        "json_serializer": json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode,
        "json_deserializer": _decoded,
        "hide_parameters": True,  # they hold texts, and would stand in every error of a statement
    }
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise InvalidSettings("SMART_RAG_STORE_URL: a SQLite store must be a file, workers share it")
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            url,
            **options,
            connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False},
        )
        event.listen(engine, "connect", partial(_prepare_sqlite, full_sync))
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        from . import postgres
    except ModuleNotFoundError:
        raise InvalidSettings(
            "SMART_RAG_STORE_URL: PostgreSQL needs its driver: pip install 'smart-rag-tasks[postgres]'"
        ) from None
    engine = create_engine(
        url,
        **options,
        pool_pre_ping=True,
        pool_size=2,
        max_overflow=3,
        connect_args=postgres.connect_args(url.query),
    )
    event.listen(engine, "do_connect", lambda _dialect, _record, _, args: postgres.LimitedConnection.connect(**args))
    return engine


#: What SQLite says of a file that was cut or overwritten.
_DAMAGED = "malformed"
_DAMAGED_STORE = "The store's file is damaged (database disk image is malformed): put a copy in its place."


def _decoded(text: str) -> Any:
    """Most chunks have no fields of their own, and many no headings: the decoder is not asked for those."""
    if text == "{}":
        return {}
    return [] if text == "[]" else json.loads(text)


def _prepare_sqlite(full_sync: bool, connection: Any, _record: object) -> None:
    """WAL lets readers and one writer work side by side; NORMAL loses no committed work when a process dies."""
    connection.isolation_level = None  # our BEGIN decides, not the driver's
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise InvalidSettings("SMART_RAG_STORE_URL: the file is no SQLite database; name another one") from None
        if _DAMAGED in str(error):
            raise StoreUnavailable(_DAMAGED_STORE) from None
        raise
    connection.execute(f"PRAGMA synchronous={'FULL' if full_sync else 'NORMAL'}")


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the lock at once: an upgrade from read to write in mid-transaction cannot wait, it fails."""
    write = connection.get_execution_options().get("write", False)
    if not write:
        connection.exec_driver_sql("BEGIN")
    elif not _is_soon_locked(connection.connection.dbapi_connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _is_soon_locked(connection: Any) -> bool:
    """Whether the first tries got the lock; if not, SQLite waits, and says what is wrong."""
    connection.execute("PRAGMA busy_timeout=0")
    try:
        for _ in range(_TRIES):
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    return False
                time.sleep(_TRY_AGAIN)
            else:
                return True
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout={1000 * BUSY_TIMEOUT:.0f}")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
        # the statement's parameters hold texts: only the driver's own words are passed on
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0][:200]
        if any(phrase in reason for phrase in _FULL):
            raise StoreFull(
                f"The disk under the store is full ({reason}): make room; the work goes on by itself."
            ) from None
        if "deadlock detected" in reason:
            raise StoreDeadlock from None
        if str(getattr(getattr(error, "orig", None), "sqlstate", "")).startswith(_OVER_A_LIMIT):
            raise InvalidInput(f"The store cannot hold this ({reason}): shorten what is long in it.") from None
        if "already exists" in reason or "no such table" in reason:
            raise StoreUnavailable(
                f"The database is another program's, or half of one ({reason}): name another in SMART_RAG_STORE_URL."
            ) from None
        if "readonly" in reason or "unable to open" in reason:  # SQLite writes beside the file to read it, too
            raise StoreUnavailable(
                f"The store cannot be written ({reason}): check that it is a file, and the permissions there."
            ) from None
        raise StoreUnavailable(
            f"The store does not answer ({reason}): check SMART_RAG_STORE_URL and that the database is up."
        ) from None
    except exc.DBAPIError as error:
        if _DAMAGED in str(error.orig):
            raise StoreUnavailable(_DAMAGED_STORE) from None
        for each in (error, error.orig):  # PostgreSQL quotes the row after the first line
            each.args = (str(each).partition("\n")[0],)  # type: ignore[union-attr]
        raise
