"""A file becomes a ParsedDocument."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

from ..errors import EmptyDocument, InvalidInput
from ..models import Chunk, ParsedDocument
from .chunking import split
from .converted import Converted
from .encoding import decode
from .files import KINDS, document_id_for, read_file, shown, source_of
from .headings import front_matter, with_headings

#: Spaces, and characters that show nothing: a text of these alone is empty.
_NOTHING: Final = re.compile(r"[\s\u200b-\u200f\u2060\ufeff\ufffd]*")
#: Titles that programs write when their user gave none.
_NO_TITLE: Final = re.compile(
    r"\W*(untitled|anonymous|unspecified|document|word document|powerpoint presentation|slide ?1|无标题)?\W*( ?\d+)?",
    re.I,
)
_MAX_TITLE: Final = 200
#: A file inside the text (RFC 2397), as exports of notebooks and word processors have them for images, perhaps in
#: lines of its own. Shorter ones may be what the text is about.
_DATA_URI: Final = re.compile(
    r"""data:[\w.+-]+/[\w.+-]+(?:;[\w.+=-]+)*,[!#-&*-;=?-_a-~]{64,}+"""
    r"""(?:\n[A-Za-z0-9+/]{40,}+=*|\n[A-Za-z0-9+/]++=*(?=\n?["')>]))*"""
)


def parse_file(path: Path, *, chunk_chars: int, max_bytes: int, max_chunks: int) -> ParsedDocument:
    """The file's chunks of at most ``chunk_chars`` characters, its title and identity.

    Raises InvalidInput for a missing file and a DocumentError for one that gives no chunks: one line that names
    the file and says what to do. A file over ``max_bytes`` is not read.
    """
    path = Path(path)
    try:
        data = read_file(path, max_bytes)
        kind, mime = kind_of(path, data)
        converted = with_headings(_converted(kind, data, max_bytes))
        chunks = _chunks(converted, chunk_chars, max_chunks)
    except InvalidInput as error:
        raise type(error)(f"{shown(path)}: {error}") from error
    return ParsedDocument(
        document_id=document_id_for(path),
        source=source_of(path),
        mime=mime,
        title=_title(converted),
        source_hash=hashlib.sha256(data).hexdigest(),
        chunks=chunks,
    )


def kind_of(path: Path, data: bytes) -> tuple[str, str]:
    """(converter, media type) by the suffix; of an unknown suffix a PDF by its first bytes, else text."""
    known = KINDS.get(path.suffix.lower())
    return known or KINDS[".pdf" if data.startswith(b"%PDF-") else ".txt"]


def _converted(kind: str, data: bytes, max_bytes: int) -> Converted:
    if kind == "text":
        return Converted(decode(data), "plain")
    if kind == "markdown":
        text = decode(data)
        length, title = front_matter(text)
        return Converted(_DATA_URI.sub("", text[length:]), "markdown", title)
    from .isolation import convert_apart

    return convert_apart(kind, data, max_bytes)


def _chunks(converted: Converted, chunk_chars: int, max_chunks: int) -> tuple[Chunk, ...]:
    if _NOTHING.fullmatch(converted.text):
        raise EmptyDocument("holds no text; nothing to submit")
    return split(converted, chunk_chars, max_chunks)


def _title(converted: Converted) -> str:
    """The title that the file names, else its first heading (numbers are no title)."""
    named = " ".join(converted.title.replace("\xad", "").split()).removeprefix("Microsoft Word - ")[:_MAX_TITLE]
    if named and not _NO_TITLE.fullmatch(named):
        return named
    lowest = 1 if converted.markup == "plain" else 6
    return next(
        (heading.title for heading in converted.headings or () if heading.level <= lowest and heading.title), ""
    )
