"""EPUB becomes Markdown: its chapters are found here and converted as HTML.

kreuzberg's own EPUB reader is not used: version 4.10 skips chapters whose address is percent-encoded, and a
chapter nested 100,000 deep ends the process.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from ...errors import ProtectedDocument
from ..converted import Converted
from ..encoding import decode
from .archive import Archive, damaged, local_name
from .html import markdown_of

_ENCRYPTION: Final = "META-INF/encryption.xml"
#: Obfuscated fonts are listed there too and keep no one from reading.
_FONTS: Final = (".ttf", ".otf", ".woff", ".woff2")


def convert_epub(data: bytes, max_bytes: int) -> Converted:
    """The chapters in the book's reading order."""
    archive = Archive(data, max_bytes)
    package = _package_path(archive)
    root = archive.xml(package)
    chapters = list(_chapters(root, posixpath.dirname(package)))
    _refuse_encrypted(archive, chapters)
    title = next((element.text or "" for element in root.iter() if local_name(element) == "title"), "")
    texts = [markdown_of(decode(archive.read(name), "utf-8"))[0] for name in chapters if name in archive.names]
    if not texts:
        raise damaged()
    return Converted("\n\n".join(text.strip() for text in texts), "markdown", title)


def _package_path(archive: Archive) -> str:
    root = archive.xml("META-INF/container.xml")
    path = next((element.get("full-path") for element in root.iter() if local_name(element) == "rootfile"), None)
    if not path:
        raise damaged()
    return path


def _chapters(package: ElementTree.Element, folder: str) -> Iterator[str]:
    """Archive names of the documents in the spine."""
    items = {element.get("id"): element for element in package.iter() if local_name(element) == "item"}
    for reference in package.iter():
        item = items.get(reference.get("idref")) if local_name(reference) == "itemref" else None
        if item is not None and "html" in item.get("media-type", ""):
            yield _member(folder, item.get("href", ""))


def _member(folder: str, address: str) -> str:
    return posixpath.normpath(posixpath.join(folder, unquote(urlsplit(address).path)))


def _refuse_encrypted(archive: Archive, chapters: list[str]) -> None:
    if _ENCRYPTION not in archive.names:
        return
    encrypted = {
        _member("", element.get("URI", ""))
        for element in archive.xml(_ENCRYPTION).iter()
        if local_name(element) == "CipherReference"
    }
    if encrypted.intersection(chapters):
        raise ProtectedDocument("is protected (DRM); submit a copy without protection")
