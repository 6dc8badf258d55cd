"""Sections become chunks: split at sentence ends, with ids that come from the text.

A chunk never holds parts of two sections. Long sections are first cut into regions whose edges depend on the
text around them, not on what came before: an edit then moves chunk edges in its own region only.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from ..errors import DocumentTooLarge
from ..models import Chunk
from .converted import Converted, Markup
from .headings import lines
from .sections import sections
from .unwrap import unwrap

#: Chunks in a region beyond the first, on average. Measured on text without paragraphs, chunks of 1,200: a new
#: sentence changes 2.8 (English) and 3.2 (Chinese) chunks on average, 7.1 and 14 without regions; for one
#: chunk in ten more.
_REGION: Final = 4
#: A line longer than this many chunks (a book in one line) is taken sentence by sentence, and a stretch without
#: sentences piece by piece.
_LONG_LINE: Final = 4
#: Chunks in a region at the most: the splitter's time grows with the square of a table's or a word's length.
_MAX_REGION: Final = 32
#: What belongs to the character before it: accents, variants, skin tones, and the joiner of families and flags.
_JOINER: Final = "\u200d"
_JOINED: Final = re.compile("[\u0300-\u036f\u200d\u20e3\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")
#: Characters that make up one at the most; families have seven.
_MAX_JOINED: Final = 16
#: Characters; shorter ones are taken together.
_SHORT_SENTENCE: Final = 20
_SENTENCE: Final = re.compile(r"[。！？]+[”’」』）)]*|(?<![.!?])[.!?]++[\"')\]]*\s+")


def split(converted: Converted, chunk_chars: int, max_chunks: int) -> tuple[Chunk, ...]:
    """The chunks in reading order, none longer than ``chunk_chars``; raises DocumentTooLarge."""
    chunks: list[Chunk] = []
    seen: Counter[str] = Counter()
    starts = [offset for offset, _ in converted.pages]
    for offset, text, path in _pieces(converted, chunk_chars):
        if len(chunks) == max_chunks:
            raise DocumentTooLarge(
                f"gives more than {max_chunks:,} chunks;"
                " split it, or raise SMART_RAG_MAX_CHUNKS or SMART_RAG_CHUNK_CHARS"
            )
        page = converted.pages[max(bisect_right(starts, offset) - 1, 0)][1] if starts else None
        chunks.append(Chunk(_chunk_id(text, seen), text, len(chunks), path, page))
    return tuple(chunks)


def _chunk_id(text: str, seen: Counter[str]) -> str:
    """Sixteen hexadecimal digits of the text's hash; ``-2``, ``-3`` for the same text again."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    seen[digest] += 1
    return digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def _pieces(converted: Converted, chunk_chars: int) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """(offset, text, section path) of each chunk."""
    splitter = _splitter(chunk_chars)
    for section in sections(converted):
        text = converted.text[section.start : section.end]
        for start, region in _regions(text, section.body - section.start, converted.markup, chunk_chars):
            for offset, piece in splitter.chunk_indices(region):
                at, end = _trimmed(text, start + offset, start + offset + len(piece))
                if at < end:
                    yield section.start + at, text[at:end], section.path


@lru_cache(maxsize=8)
def _splitter(chunk_chars: int) -> Any:
    from semantic_text_splitter import TextSplitter

    return TextSplitter(chunk_chars, trim=False)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The same piece without spaces around it; a first line of several stays indented as they are."""
    piece = text[start:end].rstrip()
    bare = piece.lstrip()
    space = len(piece) - len(bare)
    if "\n" in bare:
        space = piece.rfind("\n", 0, space) + 1
    return start + space, start + len(piece)


def _regions(text: str, body: int, markup: Markup, chunk_chars: int) -> Iterator[tuple[int, str]]:
    """(offset, text to be split in place of it) of the regions of a section."""
    if len(text) <= chunk_chars:
        yield 0, text
        return
    text, first = unwrap(text, body, markup), 0
    for edge, unit in _edges(text, markup, chunk_chars):
        size = edge - first
        if unit is None or size >= _MAX_REGION * chunk_chars or (size >= chunk_chars and _is_edge(unit, chunk_chars)):
            yield first, text[first:edge]
            first = edge
    yield first, text[first:]


def _is_edge(unit: str, chunk_chars: int) -> bool:
    """Whether a region ends after this text: by chance, once in so many characters, but always the same."""
    dice = zlib.crc32(unit.strip().encode("utf-8", "replace"))
    return dice % (_REGION * chunk_chars) < len(unit)


def _edges(text: str, markup: Markup, chunk_chars: int) -> Iterator[tuple[int, str | None]]:
    """(where a region may end, the text that ends there, "" where it may only if it grew too long, None for must).

    That is every paragraph's end, in plain text with long ones every line's; in a long line every sentence's.
    """
    unit, end = "", 0
    by_line = markup == "plain" and text.count("\n\n") * chunk_chars < len(text)
    for offset, line in lines(text):
        if unit:
            yield offset, unit if by_line or offset - end > 1 else ""
        if len(line) > _LONG_LINE * chunk_chars:
            yield from _sentence_ends(line, offset, chunk_chars)
        unit, end = line, offset + len(line)


def _sentence_ends(line: str, offset: int, chunk_chars: int) -> Iterator[tuple[int, str | None]]:
    last = 0
    for end in chain((match.end() for match in _SENTENCE.finditer(line)), [len(line)]):
        while end - last > _LONG_LINE * chunk_chars:
            most = last + _LONG_LINE * chunk_chars
            last = line.rfind(" ", last + chunk_chars, most) + 1 or _before_joined(line, most)
            yield offset + last, None
        if end - last >= _SHORT_SENTENCE and end < len(line):
            yield offset + end, line[last:end]
            last = end


def _before_joined(text: str, index: int) -> int:
    """The index, or one a little before it, at which no emoji and no accented letter is torn."""
    for at in range(index, index - _MAX_JOINED, -1):
        if not _JOINED.match(text, at) and text[at - 1] != _JOINER:
            return at
    return index
