"""Which Redis is used: the one that the environment or ``.env`` names, else the embedded one that runs beside us."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from smart_rag_tasks.redis_server import RedisServer
from smart_rag_tasks.settings import load

#: What an application does: it imports the package, and knows nothing of any command line.
APPLICATION = "from smart_rag_tasks import app; print(app.conf.broker_url, app.conf.result_backend)"
CLI = "from smart_rag_tasks.cli import options; options.find_redis(); " + APPLICATION


def said_by(program: str, folder: Path, **environment: str) -> list[str]:
    """Broker and result backend, as a new process in that folder sees them."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SMART_RAG_", "REDIS_URL"))}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=env | environment, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_an_application_finds_the_embedded_server_that_runs_beside_it(tmp_path: Path) -> None:
    assert ["redis://127.0.0.1:6379/0"] * 2 == said_by(APPLICATION, tmp_path)  # none runs: the default
    with RedisServer(tmp_path / ".smart_rag_tasks/redis") as server:
        assert [server.url] * 2 == said_by(APPLICATION, tmp_path) == said_by(CLI, tmp_path)


def test_redis_url_comes_first_also_from_the_env_file(tmp_path: Path) -> None:
    named = "redis://127.0.0.1:7001/0"
    with RedisServer(tmp_path / ".smart_rag_tasks/redis"):
        assert [named] * 2 == said_by(APPLICATION, tmp_path, REDIS_URL=named)
        (tmp_path / ".env").write_text(f"REDIS_URL={named}\n")
        assert [named] * 2 == said_by(APPLICATION, tmp_path) == said_by(CLI, tmp_path)


def test_another_store_has_another_server(tmp_path: Path) -> None:
    """Workers of one store cannot work on the messages of another."""
    store = f"sqlite:///{tmp_path}/other.db"
    with RedisServer(tmp_path / ".smart_rag_tasks/redis"):
        for program in (APPLICATION, CLI):
            assert ["redis://127.0.0.1:6379/0"] * 2 == said_by(program, tmp_path, SMART_RAG_STORE_URL=store)
        with RedisServer(load(home=tmp_path / ".smart_rag_tasks", store=store).redis_home) as server:
            assert [server.url] * 2 == said_by(APPLICATION, tmp_path, SMART_RAG_STORE_URL=store)
            assert [server.url] * 2 == said_by(CLI, tmp_path, SMART_RAG_STORE_URL="other.db")
