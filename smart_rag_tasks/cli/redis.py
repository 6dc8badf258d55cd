"""``redis``: the embedded server as a process of its own, for the Procfile."""

from __future__ import annotations

import signal
import threading
from urllib.parse import unquote, urlsplit

import click

from ..errors import InvalidSettings, RedisServerError
from . import options

#: Host names that mean the machine itself, which is all that the embedded server listens on.
_LOOPBACK = ("127.0.0.1", "localhost", "::1", "")

#: Seconds between two looks whether the server still lives.
_POLL = 0.2


@click.command("redis")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    envvar="SMART_RAG_REDIS_PORT",
    show_envvar=True,
    help="Where to listen, on loopback only.  [default: REDIS_URL's port]",
)
@options.as_json
def redis_command(port: int | None, as_json: bool) -> None:
    """Run the embedded Redis server in the foreground, with its data below SMART_RAG_HOME.

    It serves what REDIS_URL names (port and password); without it redis://127.0.0.1:6379/0.
    """
    from ..redis_server import RedisServer, find_server
    from ..settings import get_settings, mask
    from . import output

    settings = get_settings()
    wanted, password = served(settings.redis_url)
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    with RedisServer(settings.redis_home, port or wanted, password=password) as server:
        url, program = mask(server.url), str(find_server().path)
        if as_json:
            output.print_json({"url": url, "program": program})
        else:
            click.echo(f"Redis ready: {url} ({program})", err=True)
        while server.alive():
            if asked.wait(_POLL):
                return
    raise RedisServerError(f"the Redis server ended by itself: see {server.folder / 'redis.log'}")


def served(url: str) -> tuple[int, str]:
    """Port and password that a server must have to be found at ``url``; InvalidSettings if it is elsewhere."""
    parts = urlsplit(url)
    if parts.scheme != "redis" or (parts.hostname or "") not in _LOOPBACK:
        raise InvalidSettings(
            "REDIS_URL names a server that is not this machine's own: leave the process `redis` out"
            " (`honcho start worker priority beat flower exporter`)"
        )
    if parts.username:
        raise InvalidSettings("REDIS_URL has a user name: the embedded server knows the default user only")
    return parts.port or 6379, unquote(parts.password or "")
