"""A real Redis server of our own, for machines that have none: started, watched, stopped.

It listens on loopback only, keeps its data in a folder (append-only file, synced every second), never evicts,
and dies with the process that started it. Which program that is: ``redis_binary``.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final
from urllib.parse import quote

from . import child
from .errors import RedisServerError
from .redis_binary import ServerBinary, find_server

__all__ = ["RedisServer", "ServerBinary", "find_server", "running_url", "shared_server"]

HOST: Final = "127.0.0.1"
#: Ports tried before giving up: one can be taken between choosing it and listening on it.
_ATTEMPTS: Final = 5
#: Seconds between two looks at a starting server.
_POLL: Final = 0.005
#: Seconds between two looks at a server that another process has started and we use, too.
_LOOK: Final = 0.5
#: Seconds a server of a dead owner gets to save and go.
_HANDOVER: Final = 10.0
#: Seconds from SIGTERM to SIGKILL: it syncs its append-only file meanwhile.
_STOP_GRACE: Final = 10.0
#: Bytes over which the log of earlier starts is put aside.
_LOG_LIMIT: Final = 5_000_000

_LOCK, _STATE, _LOG, _CONFIG = "server.lock", "server.json", "redis.log", "redis.conf"
_BUSY = re.compile(r"address already in use|could not create server tcp listening socket", re.IGNORECASE)


def running_url(folder: Path) -> str | None:
    """The URL of the server that another process runs on ``folder`` now (without its password), or None."""
    if not (_owner_lives(folder) and _is_locked(folder / _LOCK)):
        return None
    return f"redis://{HOST}:{_read_state(folder)['port']}/0"


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as lock:
            return not _try_lock(lock.fileno())
    except OSError:
        return False


@contextmanager
def shared_server(folder: Path) -> Iterator[str]:
    """The URL of the server on ``folder``: ours, or another process's, with which we go on when that one ends.

    Raises RedisServerError when none can be started.
    """
    url = running_url(folder)
    server = RedisServer(folder, _port(url) if url else 0)
    if url is None:
        try:
            url = server.start()
        except RedisServerError:  # somebody was faster
            url = running_url(folder)
            if url is None:
                raise
            server = RedisServer(folder, _port(url))
    over = threading.Event()
    heir = threading.Thread(target=_inherit, args=(server, over), name="heir of the Redis server", daemon=True)
    heir.start()
    try:
        yield url
    finally:
        over.set()
        heir.join()
        server.stop()


def _inherit(server: RedisServer, over: threading.Event) -> None:
    """Start the server, where it was, when there is none any more; of several heirs one is first."""
    while not over.wait(_LOOK):
        if not server.alive() and running_url(server.folder) is None:
            with suppress(RedisServerError):
                server.start()


def _port(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


class RedisServer:
    """One server on one folder, as a context manager; started again on the same folder, it finds its data."""

    def __init__(self, folder: Path, port: int = 0, *, password: str = "", start_timeout: float = 30.0) -> None:
        self.folder = folder.expanduser().resolve()
        #: Where it listens; 0 until a free one was picked. Kept over stop() and start().
        self.port = port
        self._fixed = port != 0
        self._password = password
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    @property
    def url(self) -> str:
        """Of database 0, with the password."""
        login = f":{quote(self._password, safe='')}@" if self._password else ""
        return f"redis://{login}{HOST}:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """The server's process id, None when it does not run."""
        return self._process.pid if self._process and self.alive() else None

    def alive(self) -> bool:
        """Whether the server process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> str:
        """Start it and give its URL once it answers; raises RedisServerError."""
        if self.alive():
            return self.url
        binary = find_server()
        lock = self._take_folder()
        try:
            self._start_on_a_port(binary, lock)
        finally:
            os.close(lock)  # the server has it now, and with it the folder, for as long as it lives
        self._fixed = True  # clients know the port
        atexit.register(self.stop)
        return self.url

    def stop(self) -> None:
        """SIGTERM, upon which it saves; returns when it is gone. Harmless when it does not run."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():  # a forked copy of us must not stop it
            # First: once the server is gone, the file may be another one's.
            (self.folder / _STATE).unlink(missing_ok=True)
            child.stop(process, _STOP_GRACE)

    def kill(self) -> None:
        """SIGKILL: for tests of what happens then."""
        process, self._process = self._process, None
        if process is not None:
            child.kill(process)

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _take_folder(self) -> int:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise RedisServerError(
                f"cannot write to {self.folder} ({error.strerror}): choose another folder with SMART_RAG_HOME"
            ) from error
        limit = time.monotonic() + _HANDOVER
        while not _try_lock(lock):
            if _owner_lives(self.folder) or time.monotonic() > limit:
                os.close(lock)
                raise RedisServerError(_taken(self.folder))
            time.sleep(_POLL)
        return lock

    def _start_on_a_port(self, binary: ServerBinary, lock: int) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            self.port = self.port or _free_port()
            before = self._launch(binary, lock)
            if self._becomes_ready():
                return
            self.kill()
            reason = _log_since(self.folder / _LOG, before)
            if self._fixed or attempt == _ATTEMPTS or not _BUSY.search(reason):
                raise RedisServerError(_explain(reason, self.port, self.folder / _LOG))
            self.port = 0

    def _launch(self, binary: ServerBinary, lock: int) -> int:
        """Start the program; gives the length of the log before it."""
        log, config = self.folder / _LOG, self.folder / _CONFIG
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
        config.touch(mode=0o600)  # the password is in it: not in `ps`, and for our eyes only
        config.write_text(_configuration(self.folder, self.port, self._password), encoding="utf-8")
        self._owner = os.getpid()
        (self.folder / _STATE).write_text(json.dumps({"port": self.port, "owner": self._owner}))
        with log.open("ab") as output:
            before = output.tell()
            self._process = child.spawn(
                [str(binary.path), str(config)], cwd=self.folder, output=output, pass_fds=(lock,)
            )
        return before

    def _becomes_ready(self) -> bool:
        limit = time.monotonic() + self._start_timeout
        while self.alive() and time.monotonic() < limit:
            info = _info(self.port, self._password)
            # Another server may have taken the port meanwhile: only ours has this pid.
            if info.get("process_id") == str(self.pid) and info.get("loading") == "0":
                return True
            time.sleep(_POLL)
        return False


def _configuration(folder: Path, port: int, password: str) -> str:
    settings = {
        "bind": HOST,
        "port": str(port),
        "dir": _quoted(str(folder)),
        "daemonize": "no",
        "databases": "16",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',  # the append-only file has it all; a snapshot would fork for nothing
        "maxmemory-policy": "noeviction",
        "tcp-keepalive": "60",
    }
    if password:
        settings["requirepass"] = _quoted(password)
    return "".join(f"{name} {value}\n" for name, value in settings.items())


def _quoted(value: str) -> str:
    if any(mark in value for mark in "\r\n\0"):
        raise RedisServerError("a folder name or password with a line break in it cannot be given to Redis")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _info(port: int, password: str = "") -> dict[str, str]:
    """What INFO says, {} while nothing answers. Spoken by hand: redis-py takes 0.2 s to import."""
    login = f"*2\r\n$4\r\nAUTH\r\n${len(password.encode())}\r\n{password}\r\n" if password else ""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(f"{login}INFO\r\nQUIT\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return {}
    lines = answer.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_state(folder: Path) -> dict[str, int]:
    """Port and owner of the server that was started last on the folder, {} when unknown."""
    try:
        state = json.loads((folder / _STATE).read_text())
        return {"port": int(state["port"]), "owner": int(state["owner"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _owner_lives(folder: Path) -> bool:
    owner = _read_state(folder).get("owner")
    if owner is None:
        return False
    try:
        os.kill(owner, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _taken(folder: Path) -> str:
    state = _read_state(folder)
    return (
        f"process {state.get('owner', '?')} runs a Redis server on {folder} already: stop it first, or use"
        f" its server with REDIS_URL=redis://{HOST}:{state.get('port', '?')}/0, or set another SMART_RAG_HOME"
    )


def _log_since(log: Path, before: int) -> str:
    """The last lines that a server wrote before it gave up."""
    with log.open("rb") as written:
        written.seek(before)
        lines = written.read().decode("utf-8", "replace").splitlines()
    return " | ".join(line.strip() for line in lines[-4:] if line.strip())


def _explain(reason: str, port: int, log: Path) -> str:
    if _BUSY.search(reason):
        return f"port {port} on {HOST} is taken: choose another one, or 0 for any"
    if "append only file" in reason.lower():
        return (
            f"the Redis data in {log.parent} is damaged: move its folder `appendonlydir` away and start again"
            f" (waiting messages are sent again from the store). Redis says: {reason}"
        )
    return f"the Redis server did not start: {reason or 'no reason given'}. See {log}"
