"""Messages as Celery writes them into Redis, and all the ways in which one can be wrong."""

from __future__ import annotations

import base64
import json
import pickle
from typing import Any
from uuid import uuid4


def encoded(body: bytes | str) -> str:
    return base64.b64encode(body.encode() if isinstance(body, str) else body).decode()


def message(body: Any = None, *, queue: str = "default", task: str = "add", **headers: Any) -> dict[str, Any]:
    """A sound message for ``add(1, 2)``; ``body`` and headers as given."""
    id = str(uuid4())
    return {
        "body": encoded(json.dumps([[1, 2], {}, {}] if body is None else body)),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": id, "root_id": id, "retries": 0, **headers},
        "properties": {
            "correlation_id": id,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "delivery_tag": str(uuid4()),
            "body_encoding": "base64",
            "priority": 0,
        },
    }


def raw(message: object) -> bytes:
    return json.dumps(message).encode()


def without(name: str, part: str = "") -> bytes:
    whole = message()
    del (whole[part] if part else whole)[name]
    return raw(whole)


def having(value: object, name: str, *path: str) -> bytes:
    whole = message()
    place = whole
    for step in path:
        place = place[step]
    place[name] = value
    return raw(whole)


def pickled() -> bytes:
    whole = message()
    whole |= {"content-type": "application/x-python-serialize", "content-encoding": "binary"}
    whole["body"] = encoded(pickle.dumps([[1, 2], {}, {}]))
    return raw(whole)


#: The kinds of the fault table first, then what else was found to stop or confuse a plain worker.
MALFORMED: dict[str, bytes] = {
    "not JSON": b"this is no JSON {",
    "no headers": without("headers"),
    "bad base64": having("abc!!", "body"),
    "unknown task": raw(message(task="no.such.task")),
    "wrong body shape": raw(message([1, 2])),
    "pickle": pickled(),
    "no properties": without("properties"),
    "no delivery_info": without("delivery_info", "properties"),
    "unknown compression": raw(message(compression="application/x-nothing")),
    "not UTF-8": b"\xff\xfe\x00\x01",
    "huge": raw(message([["x" * 2_000_000, 2], {}, {}])),
    # --
    "empty": b"",
    "a list": b"[1, 2, 3]",
    "null": b"null",
    "too deep": b"[" * 100_000 + b"]" * 100_000,
    "too deep a body": having(encoded("[" * 100_000), "body"),
    "unknown JSON type": raw(message(x={"__type__": "nothing", "__value__": 1})),
    "headers are a list": having([1], "headers"),
    "no body": without("body"),
    "unknown body encoding": having("rot13", "body_encoding", "properties"),
    "content type is a number": having(5, "content-type"),
    "no content type": without("content-type"),
    "trusted content type": having("application/data", "content-type"),
    "body is a number": raw(message(5)),
    "body is no JSON": having(encoded("nothing {"), "body"),
    "body is not gzip": raw(message(compression="application/x-gzip")),
    "args are a number": raw(message([5, {}, {}])),
    "kwargs are a list": raw(message([[1, 2], [1], {}])),
    "embed is a list": raw(message([[1, 2], {}, [1]])),
    "chain is a text": raw(message([[1, 2], {}, {"chain": "x"}])),
    "no delivery tag": without("delivery_tag", "properties"),
    "delivery tag is an object": having({"a": 1}, "delivery_tag", "properties"),
    "no routing key": having({}, "delivery_info", "properties"),
    "exchange is a list": having(["x"], "exchange", "properties", "delivery_info"),
    "task is a list": having(["add"], "task", "headers"),
    "task is a lone surrogate": having("\ud800", "task", "headers"),
    "no id": without("id", "headers"),
    "id is an object": having({"a": 1}, "id", "headers"),
    "three time limits": raw(message(timelimit=[1, 2, 3])),
    "time limits are texts": raw(message(timelimit=["a", "b"])),
    "ETA is nonsense": raw(message(eta="yesterday")),
    "expiry is nonsense": raw(message(expires="x")),
    "stamps are a number": raw(message(stamped_headers=["a"], stamps=5)),
    "stamped headers are lists": raw(message(stamped_headers=[["a"]], stamps={"a": "b"})),
    "protocol 1 without id": raw({**message({"task": "add"}), "headers": {}}),
    "protocol 1, task is a list": raw({**message({"task": ["a"], "id": "1"}), "headers": {}}),
    "protocol 1, kwargs are a number": raw(
        {**message({"task": "add", "id": "1", "args": [1, 2], "kwargs": 5}), "headers": {}}
    ),
}
