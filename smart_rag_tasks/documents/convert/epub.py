"""EPUB becomes Markdown: its chapters are found here and converted as HTML.

kreuzberg's own EPUB reader is not used: version 4.10 skips chapters whose address is percent-encoded, and a
chapter nested 100,000 deep ends the process.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import unquote
from xml.etree import ElementTree

from ...errors import ProtectedDocument, UnreadableDocument
from ..converted import Converted, Heading
from ..encoding import decode
from ..headings import markdown_headings
from ..sections import MIN_PREAMBLE
from .archive import Archive, damaged, local_name
from .html import declared_encoding, markdown_of

_ENCRYPTION: Final = "META-INF/encryption.xml"
_RIGHTS: Final = "META-INF/rights.xml"
#: Media types of items without text that a spine may list; whatever else it lists is a chapter.
_MEDIA: Final = ("image/", "audio/", "video/")


def convert_epub(data: bytes, max_bytes: int) -> Converted:
    """The chapters in the book's reading order; raises UnreadableDocument when one is missing."""
    archive = Archive(data, max_bytes)
    package = _package_path(archive)
    root = archive.xml(package)
    chapters = list(dict.fromkeys(_in_archive(archive, _chapters(root, posixpath.dirname(package)))))
    if not chapters:
        raise damaged()
    _refuse_encrypted(archive, chapters)
    title = next((element.text or "" for element in root.iter() if local_name(element) == "title"), "")
    return _joined((_markdown(archive, name) for name in chapters), title)


def _package_path(archive: Archive) -> str:
    root = archive.xml("META-INF/container.xml")
    path = next((element.get("full-path") for element in root.iter() if local_name(element) == "rootfile"), None)
    if not path:
        raise damaged()
    return path


# -- the chapters' names


def _chapters(package: ElementTree.Element, folder: str) -> Iterator[str]:
    """The names of the documents in the spine, as the package writes them."""
    items = {element.get("id", ""): element for element in package.iter() if local_name(element) == "item"}
    for reference in package.iter():
        if local_name(reference) == "itemref":
            item = _with_text(items, reference.get("idref", ""))
            if item is not None:
                yield _member(folder, item.get("href", ""))


def _with_text(items: Mapping[str, ElementTree.Element], id_: str) -> ElementTree.Element | None:
    """The item, or the first of its fallbacks that may have text."""
    seen = set()
    while id_ in items and id_ not in seen:
        seen.add(id_)
        item = items[id_]
        if not item.get("media-type", "").lower().startswith(_MEDIA):
            return item
        id_ = item.get("fallback", "")
    return None


def _member(folder: str, address: str) -> str:
    path = re.split("[?#]", address, maxsplit=1)[0]
    return posixpath.normpath(posixpath.join("/", folder, unquote(path))).lstrip("/")


def _in_archive(archive: Archive, names: Iterator[str]) -> Iterator[str]:
    """The same names as the archive writes them: in other case, with ``%20`` for a space, with backslashes."""
    alike = {_folded(name): name for name in archive.names}
    for name in names:
        found = name if name in archive.names else alike.get(_folded(name))
        if found is None:
            raise UnreadableDocument("lacks a chapter that it lists; get a whole copy and submit that")
        yield found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unquote(name)).casefold().replace("\\", "/")


def _refuse_encrypted(archive: Archive, chapters: list[str]) -> None:
    """Obfuscated fonts are listed there too and keep no one from reading."""
    if _ENCRYPTION not in archive.names:
        return
    encrypted = {
        _member("", element.get("URI", ""))
        for element in archive.xml(_ENCRYPTION).iter()
        if local_name(element) == "CipherReference"
    }
    if encrypted.intersection(chapters):
        raise _protected()


def _protected() -> ProtectedDocument:
    return ProtectedDocument("is protected (DRM); submit a copy without protection")


# -- their text


def _markdown(archive: Archive, name: str) -> str:
    data = archive.read(name)
    try:
        text = decode(data, declared_encoding(data))
    except UnreadableDocument as error:
        if _RIGHTS in archive.names:
            raise _protected() from error
        raise UnreadableDocument("has a chapter that is not text, or not in UTF-8; save the book anew") from error
    return markdown_of(text)[0].strip()


def _joined(texts: Iterator[str], title: str) -> Converted:
    parts, headings, at, waits = [], list[Heading](), 0, False
    for text in filter(None, texts):
        headings += _marks(text, at, waits)
        parts.append(text)
        at += len(text) + len("\n\n")
        waits = bool(headings[-1].title) and headings[-1].end >= at - len("\n\n")
    return Converted("\n\n".join(parts), "markdown", title, tuple(headings))


def _marks(text: str, at: int, waits: bool) -> list[Heading]:
    """The chapter's headings, where it begins at ``at`` in the book.

    Without a heading at its beginning it begins a section under no heading, unless that of the chapter before
    waits for its text.
    """
    found = [replace(each, start=each.start + at, end=each.end + at) for each in markdown_headings(text)]
    if found and found[0].start - at < MIN_PREAMBLE:
        found[0] = replace(found[0], start=at)
    elif not waits:
        found.insert(0, Heading(at, at, 0, ""))
    return found
