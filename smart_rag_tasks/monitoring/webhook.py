"""Posting a notice to a webhook: signed, within a time limit, and never to an address inside the network.

The host is resolved once, every address it has must be a public one (unless the settings allow the host by name), and
the connection goes to the address that was checked; a redirect is not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Collection
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from ..errors import InvalidSettings, TransientError

#: Seconds to connect, and for each answer; and for all of it.
PATIENCE: Final = 5.0
LIMIT: Final = 10.0


class WebhookError(TransientError):
    """The webhook did not take the notice."""


def checked(url: str) -> SplitResult:
    """The URL's parts; raises InvalidSettings for one that cannot be posted to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or port == 0:
        raise InvalidSettings("SMART_RAG_ALERT_WEBHOOK: must be http(s)://HOST[:PORT]/PATH, without user and password")
    return parts


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """``sha256=…``: HMAC over ``timestamp.body``, so that a notice can neither be forged nor sent again later."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def post(url: str, notice: dict[str, Any], secret: str, allowed_hosts: Collection[str] = ()) -> None:
    """Deliver one notice. Raises WebhookError, or InvalidSettings for an address that must not be reached."""
    parts = checked(url)
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    address = public_address(host, port, allowed_hosts)
    body = json.dumps(notice, ensure_ascii=False).encode()
    timestamp = str(int(time.time()))
    headers = {"Content-Type": "application/json", "User-Agent": "smart-rag-tasks", "Connection": "close"}
    headers["X-Smart-Rag-Timestamp"] = timestamp
    if secret:
        headers["X-Smart-Rag-Signature"] = signature(secret, timestamp, body)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(parts.scheme, host, port, address)
    guard = threading.Timer(LIMIT, _cut, [connection])
    guard.start()
    try:
        connection.request("POST", path, body, headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException, AttributeError) as error:  # AttributeError: cut while it was read
        raise WebhookError(f"the webhook at {host} does not answer ({type(error).__name__})") from None
    finally:
        guard.cancel()
        connection.close()
    if 300 <= status < 400:
        raise WebhookError(f"the webhook at {host} redirects ({status}), which is not followed: set its final URL")
    if not 200 <= status < 300:
        raise WebhookError(f"the webhook at {host} refused the notice ({status})")


def public_address(host: str, port: int, allowed_hosts: Collection[str]) -> str:
    """An address of the host, all of whose addresses are public, or which is allowed by name."""
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError:
        raise WebhookError(f"the webhook's host {host} is not known") from None
    if host not in allowed_hosts and not all(_is_public(address) for address in found):
        raise InvalidSettings(
            f"SMART_RAG_ALERT_WEBHOOK: {host} is inside the network; if that is meant, name it in"
            " SMART_RAG_ALERT_WEBHOOK_HOSTS"
        )
    return found[0]


def _is_public(address: str) -> bool:
    ip: Any = ipaddress.ip_address(address.partition("%")[0])
    for inner in ("ipv4_mapped", "sixtofour"):  # addresses that hide another one
        ip = getattr(ip, inner, None) or ip
    return bool(ip.is_global) and not ip.is_multicast


def _connection(scheme: str, host: str, port: int, address: str) -> http.client.HTTPConnection:
    """To the address that was checked, in the name of the host."""

    def connect(*_: Any, **__: Any) -> socket.socket:
        return socket.create_connection((address, port), PATIENCE)

    made: Any = (
        http.client.HTTPSConnection(host, port, timeout=PATIENCE, context=ssl.create_default_context())
        if scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=PATIENCE)
    )
    made._create_connection = connect  # http.client's own hook, used by its `connect`
    found: http.client.HTTPConnection = made
    return found


def _cut(connection: http.client.HTTPConnection) -> None:
    """End a connection that answers drop by drop."""
    if connection.sock is not None:
        connection.sock.shutdown(socket.SHUT_RDWR)
