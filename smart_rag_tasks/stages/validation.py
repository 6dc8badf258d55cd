"""Outside input becomes values, or an error that names the field and says what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from ..errors import InvalidChunks, InvalidInput
from ..models import Chunk, Lane

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
#: A NUL as JSON writes it.
_JSON_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")

#: Characters; what the store's columns hold.
MAX_DOCUMENT_ID = 512
MAX_CHUNK_ID = 256
#: Bytes in UTF-8: with the longest chunk_id (4 x 256) it is below the 2,704 of a row of a PostgreSQL index.
MAX_DOCUMENT_ID_BYTES = 1536
MAX_TASK_ID = 64
MAX_PAGE = 2**31 - 1
#: Characters of all headings above a chunk, and of its ``metadata`` as JSON: they are read with each chunk.
MAX_SECTION_PATH = 10_000
MAX_METADATA = 100_000
_FIELDS = ("chunk_id", "text", "section_path", "page", "metadata")
#: What others call them.
_USUAL = {"meta": "metadata", "section": "section_path", "sections": "section_path"}
_USUAL |= dict.fromkeys(("page_number", "page_no"), "page") | dict.fromkeys(("content", "chunk_text"), "text")
#: Levels of lists and dicts in ``metadata``.
MAX_DEPTH = 100
#: A key that is so like a field's name is one that is misspelt.
_ALIKE = 0.8
#: Characters that show nothing: spaces, joiners, marks of direction and of bytes' order.
_INVISIBLE = re.compile(r"[\s\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]*")


def valid_document_id(document_id: object) -> str:
    """The id, if it is one: any text without control characters, slashes and Chinese included."""
    if not isinstance(document_id, str) or not document_id.strip():
        raise InvalidInput("document_id: must be a text that is not empty")
    if len(document_id) > MAX_DOCUMENT_ID:
        raise InvalidInput(f"document_id: has {len(document_id)} characters, at most {MAX_DOCUMENT_ID} are allowed")
    if _CONTROL.search(document_id) or _SURROGATE.search(document_id):
        raise InvalidInput("document_id: holds control characters or half a character; remove them")
    if (size := len(document_id.encode())) > MAX_DOCUMENT_ID_BYTES:
        raise InvalidInput(f"document_id: has {size:,} bytes in UTF-8, at most {MAX_DOCUMENT_ID_BYTES:,} are allowed")
    return document_id


def valid_task_id(task_id: object) -> str:
    """The id, if a run can have it."""
    if (
        not isinstance(task_id, str)
        or not 0 < len(task_id) <= MAX_TASK_ID
        or _CONTROL.search(task_id)
        or _SURROGATE.search(task_id)
    ):
        raise InvalidInput(
            f"task_id: must be a text of 1 to {MAX_TASK_ID} characters, no control characters and no half ones"
        )
    return task_id


def valid_lane(lane: str) -> Lane:
    """The lane of that name."""
    try:
        return Lane(lane)
    except ValueError:
        raise InvalidInput(f"lane: {lane!r} is none; use {' or '.join(Lane)}") from None


def valid_chunks(given: object, *, max_chars: int, max_chunks: int) -> tuple[Chunk, ...]:
    """Chunks from a list of mappings (``chunk_id``, ``text``, optional ``section_path``, ``page``, ``metadata``)."""
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise InvalidChunks(f"chunks: must be a list of dicts, not {type(given).__name__}")
    chunks: list[Chunk] = []
    seen: set[str] = set()
    for position, item in enumerate(given):
        if position >= max_chunks:
            raise InvalidChunks(f"chunks: more than {max_chunks}; split the document, or raise SMART_RAG_MAX_CHUNKS")
        chunk = _chunk(_fields(item) if isinstance(item, Chunk) else item, position)
        _check_text(chunk, position, max_chars)
        if chunk.chunk_id in seen:
            raise InvalidChunks(f"chunks[{position}].chunk_id: {chunk.chunk_id!r} is there twice; make ids unique")
        seen.add(chunk.chunk_id)
        chunks.append(chunk)
    return tuple(chunks)


def valid_flag(name: str, value: object) -> bool:
    """The value of a yes or no."""
    if not isinstance(value, bool):
        raise InvalidInput(f"{name}: must be True or False, not {type(value).__name__}")
    return value


def _fields(chunk: Chunk) -> Mapping[str, Any]:
    return {name: getattr(chunk, name) for name in _FIELDS}


def _chunk(item: object, position: int) -> Chunk:
    where = f"chunks[{position}]"
    if not isinstance(item, Mapping):
        raise InvalidChunks(f"{where}: must be a dict with chunk_id and text, not {type(item).__name__}")
    for key in item.keys() - set(_FIELDS):
        if (meant := _misspelt(str(key))) and meant not in item:
            raise InvalidChunks(f"{where}: there is no field {str(key)[:40]!r}; write {meant}, or put it into metadata")
    for name in ("chunk_id", "text"):
        if name not in item:
            raise InvalidChunks(f"{where}.{name}: is missing")
    return Chunk(
        chunk_id=_text(item["chunk_id"], f"{where}.chunk_id"),
        text=_text(item["text"], f"{where}.text"),
        position=position,
        section_path=_section_path(item.get("section_path"), where),
        page=_page(item.get("page"), where),
        metadata=_extra(item.get("metadata"), where),
    )


@lru_cache(maxsize=64)
def _misspelt(key: str) -> str:
    """The field that is meant by a key that is like it, "" for others."""
    if key in _USUAL:
        return _USUAL[key]
    return "".join(get_close_matches(key.lower(), _FIELDS, n=1, cutoff=_ALIKE))


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidChunks(f"{where}: must be a text, not {type(value).__name__}")
    return value


def _section_path(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    path = (value,) if isinstance(value, str) else value
    if not isinstance(path, (list, tuple)) or not all(isinstance(part, str) for part in path):
        raise InvalidChunks(f"{where}.section_path: must be a list of headings (texts)")
    if (size := sum(map(len, path)) + len(path)) > MAX_SECTION_PATH:
        raise InvalidChunks(f"{where}.section_path: has {size:,} characters, at most {MAX_SECTION_PATH:,} are allowed")
    for part in path:
        _check_characters(part, f"{where}.section_path")
    return tuple(path)


def _page(value: object, where: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_PAGE):
        return value
    raise InvalidChunks(f"{where}.page: must be a whole number from 0 to {MAX_PAGE:,}, or nothing")


def _extra(value: object, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidChunks(f"{where}.metadata: must be a dict with text keys")
    try:
        written = json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InvalidChunks(f"{where}.metadata: must be JSON: texts, numbers (no NaN), lists, dicts") from None
    if _is_deeper(value, MAX_DEPTH):
        raise InvalidChunks(f"{where}.metadata: has more than {MAX_DEPTH} levels; make it flatter")
    if len(written) > MAX_METADATA:
        raise InvalidChunks(
            f"{where}.metadata: has {len(written):,} characters as JSON, at most {MAX_METADATA:,} are allowed;"
            " keep the rest elsewhere"
        )
    if _JSON_NUL.search(written) or _SURROGATE.search(written):
        raise InvalidChunks(f"{where}.metadata: holds a NUL or half a character (lone surrogate); remove it")
    return dict(value)


def _is_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, (Mapping, list, tuple)):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)


def _check_characters(text: str, where: str) -> None:
    if "\x00" in text or (not text.isascii() and _SURROGATE.search(text)):
        raise InvalidChunks(f"{where}: holds a NUL or half a character (lone surrogate); remove it")


def _check_text(chunk: Chunk, position: int, max_chars: int) -> None:
    where = f"chunks[{position}]"
    if not chunk.chunk_id or len(chunk.chunk_id) > MAX_CHUNK_ID or _CONTROL.search(chunk.chunk_id):
        raise InvalidChunks(f"{where}.chunk_id: must have 1 to {MAX_CHUNK_ID} characters, no control characters")
    _check_characters(chunk.chunk_id, f"{where}.chunk_id")
    if _INVISIBLE.fullmatch(chunk.text):
        raise InvalidChunks(f"{where}.text: is empty; leave the chunk out")
    if len(chunk.text) > max_chars:
        raise InvalidChunks(
            f"{where}.text: has {len(chunk.text):,} characters, at most {max_chars:,} are allowed;"
            " split it, or raise SMART_RAG_MAX_CHUNK_CHARS"
        )
    _check_characters(chunk.text, f"{where}.text")
