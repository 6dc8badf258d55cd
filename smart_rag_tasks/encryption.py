"""Encrypted task payloads and results, for producers that send text through the broker (extra ``encryption``).

Bodies are JSON under Fernet (AES-128-CBC, HMAC-SHA256); with keys set, workers refuse tasks and control commands
that are not encrypted with one of them (the dead list gets the tasks), clients refuse such results. Events stay JSON:
they hold no payload. Not encrypted: a message's headers (task name, ids, counts; ``base_task`` keeps arguments out of
them). Not prevented: that somebody who can write to Redis sends an old message again.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from kombu.serialization import register
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps, loads

from .errors import ForgedPayload, InvalidSettings

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

SERIALIZER: Final = "fernet-json"
CONTENT_TYPE: Final = "application/x-smart-rag-fernet"
_NEW_KEY: Final = "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"


def celery_settings(keys: Sequence[str]) -> dict[str, Any]:
    """The Celery settings for these keys, the first of which encrypts; registers the serializer with kombu.

    Raises InvalidSettings for a key that is none, or when the cryptography package is missing.
    """
    register_serializer(keys)
    return {
        "task_serializer": SERIALIZER,
        "result_serializer": SERIALIZER,
        "accept_content": [SERIALIZER],
        "result_accept_content": [SERIALIZER],
        "event_serializer": "json",
    }


def configure(conf: Any, keys: Sequence[str]) -> None:
    """Switch encryption on in ``app.conf``, before the app's first message; nothing for no keys."""
    if keys:
        conf.update(celery_settings(keys))


def register_serializer(keys: Sequence[str]) -> None:
    """Make kombu know ``fernet-json``; again with other keys, it replaces them."""
    cipher = _cipher(keys)

    # Fernet's token is base64, and kombu puts every body in base64: once is enough.
    def encode(value: Any) -> bytes:
        return urlsafe_b64decode(cipher.encrypt(str_to_bytes(dumps(value))))

    def decode(body: bytes | str) -> Any:
        return loads(_decrypted(cipher, urlsafe_b64encode(str_to_bytes(body))))

    register(
        SERIALIZER,
        encode,  # type: ignore[arg-type]  # the stubs know no bytes, kombu does
        decode,
        content_type=CONTENT_TYPE,
        content_encoding="binary",
    )


def _decrypted(cipher: MultiFernet, token: bytes) -> bytes:
    from cryptography.fernet import InvalidToken

    try:
        return cipher.decrypt(token)
    except InvalidToken:
        raise ForgedPayload from None


def _cipher(keys: Sequence[str]) -> MultiFernet:
    try:
        from cryptography.fernet import Fernet, MultiFernet
    except ImportError as error:
        raise InvalidSettings(
            "SMART_RAG_PAYLOAD_KEYS is set, but the cryptography package is not installed:"
            " pip install 'smart-rag-tasks[encryption]'"
        ) from error
    ciphers = []
    for place, key in enumerate(keys, start=1):
        try:
            ciphers.append(Fernet(key))
        except ValueError:
            # Without its value, and without the cause, which may quote it.
            raise InvalidSettings(
                f"SMART_RAG_PAYLOAD_KEYS: key {place} of {len(keys)} is not a Fernet key; make one with {_NEW_KEY}"
            ) from None
    return MultiFernet(ciphers)
