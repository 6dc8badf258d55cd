"""What a chunk's fields may hold: what no store could keep is refused by name, and no value is repeated."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from smart_rag_tasks.errors import InvalidChunks, InvalidInput
from smart_rag_tasks.models import Chunk
from smart_rag_tasks.stages.validation import valid_chunks, valid_flag

CYCLE: dict[str, Any] = {}
CYCLE["again"] = CYCLE
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


def checked(**fields: Any) -> Chunk:
    (chunk,) = valid_chunks([{"chunk_id": "c", "text": "private words"} | fields], max_chars=100, max_chunks=1)
    return chunk


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"chunk_id": "\ud800"}, "chunk_id: holds a NUL or half a character"),
        ({"section_path": ["a", "\ud800"]}, "section_path: holds a NUL or half a character"),
        ({"section_path": ["a\x00"]}, "section_path: holds a NUL"),
        ({"section_path": "a\x00"}, "section_path: holds a NUL"),
        ({"section_path": "\ud800"}, "section_path: holds a NUL or half a character"),
        ({"page": 2**63}, "page: must be a whole number from 0 to 2,147,483,647"),
        ({"page": -1}, "page: must be a whole number"),
        ({"metadata": {"a": object()}}, "metadata: must be JSON"),
        ({"metadata": {"a": dt.date(2026, 1, 1)}}, "metadata: must be JSON"),
        ({"metadata": {"a": float("nan")}}, "metadata: must be JSON"),
        ({"metadata": {"a": "\ud800"}}, "metadata: holds a NUL or half a character"),
        ({"metadata": {"a\x00": 1}}, "metadata: holds a NUL"),
        ({"metadata": CYCLE}, "metadata: must be JSON"),
        ({"metadata": {"a": DEEP}}, "metadata: must be JSON"),
        ({"metadata": []}, "metadata: must be a dict"),
        (
            {"metadata": json.loads('{"a":' * 101 + "1" + "}" * 101)},
            "metadata: has more than 100 levels; make it flatter",
        ),
        ({"metadata": {"a": "x" * 100_000}}, "metadata: has 100,009 characters as JSON, at most 100,000 are allowed"),
        ({"section_path": ["x" * 5000] * 2}, "section_path: has 10,002 characters, at most 10,000 are allowed"),
        ({"section_path": [""] * 10_001}, "section_path: has 10,001 characters"),
        ({"text": "\u200b \ufeff\u2060\n\u200d"}, "text: is empty; leave the chunk out"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidChunks, match=rf"^chunks\[0\]\.{said}") as refusal:
        checked(**fields)
    assert "private words" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("sectionpath", "section_path"),
        ("meta", "metadata"),
        ("page_no", "page"),
        ("Pages", "page"),
        ("metdata", "metadata"),
    ],
)
def test_a_misspelt_field_is_no_extra_one(key: str, field: str) -> None:
    with pytest.raises(InvalidChunks, match=rf"^chunks\[0\]: there is no field '{key}'; write {field}, or put it into"):
        checked(**{key: None})
    assert checked(document_id="d", position=3, title="t", old_chunk_id="o").chunk_id == "c"
    assert checked(**{key: None, field: None}).chunk_id == "c"


def test_what_is_taken() -> None:
    given = {"a": [1, None, {"b": "文"}], "backslash": "\\u0000"}
    assert given == checked(metadata=given).metadata
    assert ("一", "b") == checked(section_path=["一", "b"]).section_path
    assert ("a",) == checked(section_path="a").section_path
    assert 2**31 - 1 == checked(page=2**31 - 1).page


def test_a_chunk_object_is_held_to_the_same() -> None:
    with pytest.raises(InvalidChunks, match="metadata: must be JSON"):
        valid_chunks([Chunk("c", "text", 0, metadata={"a": {1}})], max_chars=100, max_chunks=1)


def test_a_flag_is_yes_or_no() -> None:
    assert valid_flag("force", True)
    with pytest.raises(InvalidInput, match="force: must be True or False, not str"):
        valid_flag("force", "no")
