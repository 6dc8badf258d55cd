"""What counts as a sound message."""

from __future__ import annotations

from typing import Any

import pytest

from smart_rag_tasks.envelopes import envelope_problem, task_problem

SOUND: dict[str, Any] = {
    "body": "W10=",
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {"task": "add", "id": "1"},
    "properties": {
        "delivery_tag": "t",
        "delivery_info": {"exchange": "", "routing_key": "default"},
        "body_encoding": "base64",
    },
}


def test_a_sound_envelope() -> None:
    assert envelope_problem(SOUND) is None


def test_an_unencoded_body_is_sound() -> None:
    assert (
        envelope_problem(SOUND | {"body": "[]", "properties": {**SOUND["properties"], "body_encoding": None}}) is None
    )


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ([], "the message is not a JSON object"),
        ({}, "message: no body"),
        (SOUND | {"headers": None}, "message: headers is of type NoneType"),
        (SOUND | {"properties": {}}, "properties: no delivery_tag"),
        (SOUND | {"body": "secret!"}, "the body is not base64"),
        (SOUND | {"headers": {"compression": 5}}, "headers: compression is of type int"),
    ],
)
def test_an_unsound_envelope(message: object, problem: str) -> None:
    assert envelope_problem(message) == problem


@pytest.mark.parametrize("embed", [None, {}, {"callbacks": None, "chord": None}, {"chain": []}])
def test_a_sound_task(embed: object) -> None:
    headers = {"task": "add", "id": "1", "timelimit": [None, 3.5], "retries": 0, "eta": None}
    assert task_problem(headers, [[1], {}, embed]) is None


@pytest.mark.parametrize(
    ("headers", "payload", "problem"),
    [
        ({}, "abc", "the body is not [args, kwargs, embed]"),
        ({}, [[], {}], "the body is not [args, kwargs, embed]"),
        ({}, [{}, {}, {}], "args, kwargs or embed in the body is of the wrong kind"),
        ({"task": "add"}, [[], {}, {}], "headers: no id"),
        ({"task": "add", "id": 5}, [[], {}, {}], "headers: id is of type int"),
        ({"task": "add", "id": "1", "timelimit": [1]}, [[], {}, {}], "headers: timelimit is not a pair of numbers"),
        ({"task": "add", "id": "1"}, [[], {}, {"chord": []}], "embed: chord is of type list"),
    ],
)
def test_an_unsound_task(headers: dict[str, Any], payload: object, problem: str) -> None:
    assert task_problem(headers, payload) == problem
