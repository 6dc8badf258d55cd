"""Who may reach Flower: credentials from the environment, and none needed on loopback alone.

Every check ends the program with one line (`refuse`), before Flower listens.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NoReturn

import click

from ..errors import InvalidSettings, SmartRagError
from ..settings import Settings
from .broker import unreachable


def refuse(error: SmartRagError) -> NoReturn:
    """End the program with the error's line and exit code."""
    click.echo(f"Error: {error}", err=True)
    sys.exit(error.exit_code)


def is_loopback(address: str) -> bool:
    """Whether nobody outside this machine reaches the address; "" and 0.0.0.0 mean every interface."""
    if not address:
        return False
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)}
    except OSError:
        raise InvalidSettings(f"FLOWER_ADDRESS: {address} is no address of this machine; use 127.0.0.1") from None
    return bool(found) and all(ipaddress.ip_address(str(each).partition("%")[0]).is_loopback for each in found)


def credentials(given: Sequence[str], settings: Settings) -> list[str]:
    """``user:password`` entries from the options that Flower has read, else from our settings; [] for none."""
    secret = settings.flower_basic_auth
    entries = list(given) or (secret.get_secret_value().split(",") if secret else [])
    entries = [entry.strip() for entry in entries if entry.strip()]
    for entry in entries:
        user, colon, password = entry.partition(":")
        if not (user and colon and password):
            raise InvalidSettings(
                "FLOWER_BASIC_AUTH: must be user:password, several separated by commas (a password has no comma)"
            )
    return entries


def check_access(options: Any, address: str, entries: Sequence[str]) -> None:
    """Raise InvalidSettings when Flower would listen on more than loopback without credentials."""
    if entries or options.auth or options.unix_socket or is_loopback(address):
        return
    raise InvalidSettings(
        f"Flower would listen on {address or 'every interface'} without a password: set"
        " FLOWER_BASIC_AUTH=user:password, or FLOWER_ADDRESS=127.0.0.1"
    )


def check_settings(settings: Settings) -> None:
    """Raise InvalidSettings for what would end Flower at once, before it is started."""
    elsewhere = SimpleNamespace(auth=os.environ.get("FLOWER_AUTH"), unix_socket=os.environ.get("FLOWER_UNIX_SOCKET"))
    check_access(elsewhere, settings.flower_address, credentials([], settings))
    if not elsewhere.unix_socket:
        check_port(settings.flower_address, settings.flower_port)


def check_port(address: str, port: int) -> None:
    """Raise InvalidSettings when the port is taken: Flower itself would end with a traceback."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise InvalidSettings(
                f"FLOWER_PORT: cannot listen on {address or 'every interface'} port {port} ({error.strerror}):"
                " choose another port"
            ) from None


def check_broker(app: Any) -> None:
    """Raise BrokerUnreachable when the broker does not answer: Flower itself would retry for ever."""
    with app.connection_for_read() as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0.2, timeout=5)
        except Exception as error:  # each transport has errors of its own
            raise unreachable(connection, error) from None
