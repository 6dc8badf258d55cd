"""A TCP proxy that breaks connections on command: what a network, a firewall or a dying server does to a client.

``with FaultProxy(server.port) as proxy:`` and point the client at ``proxy.port``. All methods may be called from any
thread, take effect before they return, and end with `heal`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any

HOST = "127.0.0.1"
_CHUNK = 65_536
#: l_onoff = 1, l_linger = 0: close() sends RST instead of FIN.
_RESET = struct.pack("ii", 1, 0)

#: Tells the bytes that are meant, by what is in them or by a function of a received piece.
What = bytes | Callable[[bytes], bool]


def brpop_reply(queue: str) -> Callable[[bytes], bool]:
    """For `FaultProxy.drop_next_reply`: Redis's answer to BRPOP with a message of this queue."""
    name = queue.encode()
    start = b"*2\r\n$%d\r\n%s\r\n" % (len(name), name)
    return lambda data: start in data


class _Link:
    """A client's connection and ours to the server."""

    def __init__(self, client: socket.socket, server: socket.socket | None) -> None:
        self.client = client
        self.server = server
        #: Nothing goes through any more, in no direction, and nobody is told.
        self.silent = False
        #: What comes is thrown away.
        self.swallowing = False
        #: Bytes were thrown away: the streams are of no use any more.
        self.spoilt = False
        self.tasks: list[asyncio.Task[None]] = []
        self.tail = {True: b"", False: b""}

    def cut(self, *, reset: bool) -> None:
        for task in self.tasks:
            task.cancel()
        for end in (self.client, self.server):
            if end is not None and end.fileno() >= 0:
                if reset:
                    with contextlib.suppress(OSError):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.close()


class FaultProxy:
    """Forwards ``port`` to ``target_port`` on loopback until told otherwise."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        #: Connections taken since the start.
        self.accepted = 0
        #: Set when `drop_next_reply` or `drop_next_request` has struck.
        self.dropped = threading.Event()
        self._links: set[_Link] = set()
        self._listener: socket.socket | None = None
        self._acceptor: asyncio.Task[None] | None = None
        self._blackhole = False
        self._drop: tuple[bool, What] | None = None
        self._loop = asyncio.new_event_loop()
        self._flow = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)

    @property
    def url(self) -> str:
        """As a Redis."""
        return f"redis://{HOST}:{self.port}/0"

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._flow.set()
        self.open_port()
        return self

    def __exit__(self, *error: object) -> None:
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- faults

    def reset_all(self) -> None:
        """RST to both ends of every connection; new ones work."""
        self._call(self._cut_all)

    def freeze(self) -> None:
        """Nothing is forwarded, nothing is closed: a stopped server, a network that lost its way for a while."""
        self._call(self._flow.clear)

    def thaw(self) -> None:
        """What waited goes on, complete and in order."""
        self._call(self._flow.set)

    def close_port(self, *, reset: bool = True) -> None:
        """Connections are refused; those there are get RST, unless ``reset`` is False."""
        self._run(self._close_port())
        if reset:
            self.reset_all()

    def open_port(self) -> None:
        """Listen again, on the same port."""
        self._run(self._open_port())

    def blackhole(self) -> None:
        """Connections are taken, what is sent vanishes, no answer ever comes; for those there are, too."""
        self._call(self._swallow)

    def half_open(self) -> None:
        """The connections there are go dead for ever without either end being told; new ones work."""
        self._call(self._silence)

    def drop_next_reply(self, what: What) -> None:
        """Lose the server's next such bytes, and the connection with them; `dropped` tells when it happened."""
        self._call(self._arm, False, what)

    def drop_next_request(self, what: What) -> None:
        """The same for the client's bytes: the server never sees them."""
        self._call(self._arm, True, what)

    def heal(self) -> None:
        """All works again; what lost bytes meanwhile is reset, what went half open stays so."""
        self.thaw()
        self._call(self._end_blackhole)
        if self._listener is None:
            self.open_port()

    # -- in the loop

    def _cut_all(self, *, spoilt_only: bool = False) -> None:
        for link in [each for each in self._links if each.spoilt or not spoilt_only]:
            link.cut(reset=True)
            self._links.discard(link)

    def _swallow(self) -> None:
        self._blackhole = True
        for link in self._links:
            link.swallowing = True

    def _end_blackhole(self) -> None:
        self._blackhole = False
        self._cut_all(spoilt_only=True)
        for link in self._links:
            link.swallowing = False

    def _silence(self) -> None:
        for link in self._links:
            link.silent = True

    def _arm(self, from_client: bool, what: What) -> None:
        self.dropped.clear()
        self._drop = (from_client, what)

    async def _open_port(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((HOST, self.port))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._acceptor = asyncio.create_task(self._accept(listener))

    async def _close_port(self) -> None:
        if self._acceptor is not None and self._listener is not None:
            self._acceptor.cancel()
            await asyncio.gather(self._acceptor, return_exceptions=True)
            self._listener.close()
            self._acceptor = self._listener = None

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            client, _ = await self._loop.sock_accept(listener)
            self.accepted += 1
            link = _Link(client, None)
            link.spoilt = link.swallowing = self._blackhole
            self._links.add(link)
            link.tasks.append(asyncio.create_task(self._serve(link)))

    async def _serve(self, link: _Link) -> None:
        if not self._blackhole:
            server = socket.socket()
            server.setblocking(False)
            link.server = server
            try:
                await self._loop.sock_connect(server, (HOST, self.target_port))
            except OSError:
                self._end(link)
                return
            link.tasks.append(asyncio.create_task(self._carry(link, False, server, link.client)))
        await self._carry(link, True, link.client, link.server)

    async def _carry(self, link: _Link, from_client: bool, source: socket.socket, sink: socket.socket | None) -> None:
        try:
            while data := await self._loop.sock_recv(source, _CHUNK):
                await self._flow.wait()
                if link.silent:
                    await asyncio.Event().wait()
                if sink is None or link.swallowing:
                    link.spoilt = True
                elif self._is_doomed(link, data, from_client):
                    self._end(link)
                    return
                else:
                    await self._loop.sock_sendall(sink, data)
        except OSError:
            pass
        await self._flow.wait()
        if not (link.silent or link.swallowing):
            self._end(link, reset=False)

    def _is_doomed(self, link: _Link, data: bytes, from_client: bool) -> bool:
        if self._drop is None or self._drop[0] is not from_client:
            return False
        what = self._drop[1]
        link.tail[from_client] = seen = (link.tail[from_client] + data)[-_CHUNK:]
        if not (what in seen if isinstance(what, bytes) else what(data)):
            return False
        self._drop = None
        self.dropped.set()
        return True

    def _end(self, link: _Link, *, reset: bool = True) -> None:
        self._links.discard(link)
        link.cut(reset=reset)

    async def _shut(self) -> None:
        await self._close_port()
        tasks = [task for link in self._links for task in link.tasks]
        self._cut_all()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- from other threads

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _call(self, function: Callable[..., Any], *args: Any) -> None:
        async def call() -> None:
            function(*args)

        self._run(call())
