"""The proxy of the fault tests does what each fault is called."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from smart_rag_tasks.redis_server import RedisServer


def _load(path: Path) -> Any:
    # tests/faults is not on the path of the unit tests.
    spec = importlib.util.spec_from_file_location("proxy", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["proxy"] = module
    spec.loader.exec_module(module)
    return module


proxy_module = _load(Path(__file__).parents[1] / "faults" / "proxy.py")
FaultProxy = proxy_module.FaultProxy


class Echo:
    """Sends everything back, and remembers it."""

    def __init__(self) -> None:
        self.got = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which would else keep it open
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(65536):
                self.got += data
                connection.sendall(data)
        except OSError:
            pass
        finally:
            connection.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Any]:
    with FaultProxy(echo.port) as proxy:
        yield proxy


@pytest.fixture
def connect(proxy: Any) -> Iterator[Callable[[], socket.socket]]:
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", proxy.port), timeout=5))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()


Connect = Callable[[], socket.socket]


def says(connection: socket.socket, text: bytes) -> bytes:
    connection.sendall(text)
    got = b""
    while len(got) < len(text):
        piece = connection.recv(65536)
        if not piece:
            break
        got += piece
    return got


def is_silent(connection: socket.socket, seconds: float = 0.15) -> bool:
    connection.settimeout(seconds)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(5)
    return False


def test_forwards(connect: Connect) -> None:
    large = bytes(range(256)) * 4096
    client = connect()
    sender = threading.Thread(target=client.sendall, args=(large,))
    sender.start()
    got = b""
    while len(got) < len(large):
        got += client.recv(65536)
    sender.join()
    assert got == large


def test_an_end_is_passed_on(connect: Connect, echo: Echo) -> None:
    client = connect()
    assert says(client, b"a") == b"a"
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""


def test_reset_all(proxy: Any, connect: Connect) -> None:
    old = connect()
    assert says(old, b"a") == b"a"
    proxy.reset_all()
    with pytest.raises(ConnectionResetError):
        old.recv(1)
    assert says(connect(), b"b") == b"b"


def test_freeze_and_thaw(proxy: Any, connect: Connect, echo: Echo) -> None:
    old = connect()
    assert says(old, b"a") == b"a"
    proxy.freeze()
    old.sendall(b"b")
    new = connect()
    new.sendall(b"c")
    assert is_silent(old) and is_silent(new)
    assert echo.got == b"a"
    proxy.thaw()
    assert (old.recv(10), new.recv(10)) == (b"b", b"c")


def test_close_and_open_port(proxy: Any, connect: Connect) -> None:
    old = connect()
    assert says(old, b"a") == b"a"
    proxy.close_port()
    with pytest.raises(ConnectionResetError):
        old.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect()
    port = proxy.port
    proxy.open_port()
    assert proxy.port == port
    assert says(connect(), b"b") == b"b"


def test_close_port_alone(proxy: Any, connect: Connect) -> None:
    old = connect()
    assert says(old, b"a") == b"a"
    proxy.close_port(reset=False)
    assert says(old, b"b") == b"b"
    with pytest.raises(ConnectionRefusedError):
        connect()


def test_blackhole(proxy: Any, connect: Connect, echo: Echo) -> None:
    old = connect()
    assert says(old, b"a") == b"a"
    proxy.blackhole()
    new = connect()
    for each in (old, new):
        each.sendall(b"b")
        assert is_silent(each)
    assert echo.got == b"a"
    proxy.heal()
    for each in (old, new):
        with pytest.raises(ConnectionResetError):
            each.recv(1)
    assert says(connect(), b"c") == b"c"


def test_a_connection_that_was_idle_in_the_blackhole_lives_on(proxy: Any, connect: Connect) -> None:
    old = connect()
    assert says(old, b"a") == b"a"
    proxy.blackhole()
    proxy.heal()
    assert says(old, b"b") == b"b"


def test_half_open(proxy: Any, connect: Connect, echo: Echo) -> None:
    old = connect()
    assert says(old, b"a") == b"a"
    proxy.half_open()
    old.sendall(b"b")
    assert is_silent(old)
    assert says(connect(), b"c") == b"c"
    proxy.heal()
    assert is_silent(old)
    assert echo.got == b"ac"


def test_drop_next_reply(proxy: Any, connect: Connect, echo: Echo) -> None:
    proxy.drop_next_reply(b"lose me")
    client = connect()
    assert says(client, b"keep me") == b"keep me"
    assert not proxy.dropped.is_set()
    client.sendall(b"lose me")
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert proxy.dropped.wait(5)
    assert echo.got == b"keep melose me"
    assert says(connect(), b"lose me") == b"lose me"  # only the next one


def test_drop_next_request(proxy: Any, connect: Connect, echo: Echo) -> None:
    proxy.drop_next_request(lambda data: data.startswith(b"lose"))
    client = connect()
    client.sendall(b"lose me")
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert echo.got == b""


def test_no_server_behind_it(connect: Connect, echo: Echo) -> None:
    echo.close()
    with pytest.raises(ConnectionResetError):
        connect().recv(1)


def test_with_redis(tmp_path: Path) -> None:
    """One BRPOP reply is lost: the message is nowhere, and the client learns it by a reset."""
    with RedisServer(tmp_path) as server, FaultProxy(server.port) as proxy:
        client = redis.Redis.from_url(proxy.url, retry=Retry(NoBackoff(), 0))
        direct = redis.Redis.from_url(server.url)
        direct.lpush("metadata_queue", "one", "two")
        proxy.drop_next_reply(proxy_module.brpop_reply("metadata_queue"))
        assert client.ping()
        with pytest.raises(redis.ConnectionError):
            client.brpop("metadata_queue", timeout=1)
        assert proxy.dropped.is_set()
        assert direct.lrange("metadata_queue", 0, -1) == [b"two"]
        assert client.brpop("metadata_queue", timeout=1)[1] == b"two"


def test_leaves_no_thread(echo: Echo) -> None:
    before = threading.active_count()
    with FaultProxy(echo.port) as proxy:
        socket.create_connection(("127.0.0.1", proxy.port)).close()
        proxy.freeze()
    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before
