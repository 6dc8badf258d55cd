"""What a message must look like for kombu and Celery to handle it without raising, told before they see it.

kombu's envelope first (`envelope_problem`), then Celery's task inside it (`task_problem`); each gives None for
a sound message, else the fault in a few words that never quote the message.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from types import NoneType
from typing import Any, Final

_Kinds = tuple[type, ...]
_TEXT: Final[_Kinds] = (str, NoneType)
_NUMBER: Final[_Kinds] = (int, float, NoneType)
_TABLE: Final[_Kinds] = (dict, NoneType)
_LIST: Final[_Kinds] = (list, tuple, NoneType)

#: kombu uses these unchecked, in Message, QoS.append and the restore of unacknowledged messages.
_ENVELOPE: Final[dict[str, _Kinds]] = {
    "body": (str,),
    "content-type": _TEXT,
    "content-encoding": _TEXT,
    "headers": (dict,),
    "properties": (dict,),
}
_PROPERTIES: Final[dict[str, _Kinds]] = {
    "delivery_tag": (str,),
    "delivery_info": (dict,),
    "body_encoding": _TEXT,
    "correlation_id": _TEXT,
    "reply_to": _TEXT,
}
_DELIVERY_INFO: Final[dict[str, _Kinds]] = {"exchange": (str,), "routing_key": (str,)}
#: Celery's protocol 2: what Request, the strategy and the pool take apart in the worker's main process.
_TASK_HEADERS: Final[dict[str, _Kinds]] = {
    "task": (str,),
    "id": (str,),
    "root_id": _TEXT,
    "parent_id": _TEXT,
    "group": _TEXT,
    "group_index": _NUMBER,
    "shadow": _TEXT,
    "eta": _TEXT,
    "expires": _TEXT,
    "retries": _NUMBER,
    "timelimit": _LIST,
    "argsrepr": _TEXT,
    "kwargsrepr": _TEXT,
    "stamped_headers": _LIST,
    "stamps": _TABLE,
}
_EMBED: Final[dict[str, _Kinds]] = {
    "callbacks": _LIST,
    "errbacks": _LIST,
    "chain": _LIST,
    "chord": _TABLE,
}


def envelope_problem(message: object) -> str | None:
    """The fault of a decoded message as kombu's virtual transports know it."""
    if not isinstance(message, dict):
        return "the message is not a JSON object"
    return (
        _wrong(message, _ENVELOPE, "message")
        or _wrong(message["properties"], _PROPERTIES, "properties")
        or _wrong(message["properties"]["delivery_info"], _DELIVERY_INFO, "delivery_info")
        or _wrong(message["headers"], {"compression": _TEXT}, "headers")
        or _body_problem(message["body"], message["properties"].get("body_encoding"))
    )


def task_problem(headers: Mapping[str, Any], payload: object) -> str | None:
    """The fault of a task message of protocol 2: its headers, and its decoded body."""
    if not isinstance(payload, (list, tuple)) or len(payload) != 3:
        return "the body is not [args, kwargs, embed]"
    args, kwargs, embed = payload
    if not (isinstance(args, (list, tuple)) and isinstance(kwargs, dict) and isinstance(embed, (dict, NoneType))):
        return "args, kwargs or embed in the body is of the wrong kind"
    return (
        _wrong(headers, _TASK_HEADERS, "headers")
        or _wrong(embed or {}, _EMBED, "embed")
        or _limit_problem(headers.get("timelimit"))
        or _stamp_problem(headers.get("stamped_headers"))
    )


def _wrong(table: Mapping[str, Any], expected: Mapping[str, _Kinds], where: str) -> str | None:
    for name, kinds in expected.items():
        if name not in table and NoneType not in kinds:
            return f"{where}: no {name}"
        if not isinstance(table.get(name), kinds):
            return f"{where}: {name} is of type {type(table.get(name)).__name__}"
    return None


def _body_problem(body: str, encoding: str | None) -> str | None:
    if not encoding or encoding.lower() == "utf-8":
        return None
    if encoding != "base64":
        return "the body's encoding is unknown"
    try:
        base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return "the body is not base64"
    return None


def _stamp_problem(names: list[Any] | None) -> str | None:
    sound = all(isinstance(name, str) for name in names or ())
    return None if sound else "headers: stamped_headers holds more than names"


def _limit_problem(limits: list[Any] | None) -> str | None:
    if limits and not (len(limits) == 2 and all(isinstance(limit, _NUMBER) for limit in limits)):
        return "headers: timelimit is not a pair of numbers"
    return None
