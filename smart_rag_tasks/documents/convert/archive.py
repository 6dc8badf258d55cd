"""ZIP archives (DOCX, PPTX, EPUB), read within bounds."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Collection, Mapping
from typing import Final
from xml.etree import ElementTree

from ...errors import ProtectedDocument, UnreadableDocument
from ..files import too_large

#: Compound File, an Office file of before 2007, is also the envelope of an encrypted one.
_COMPOUND_FILE: Final = b"\xd0\xcf\x11\xe0"
_TEXT_PARTS: Final = (".xml", ".rels", ".xhtml", ".html", ".htm", ".opf", ".ncx")


def damaged() -> UnreadableDocument:
    """The error for an archive that is not what it should be."""
    return UnreadableDocument("is damaged or cut off; open it in its program, save it again and submit that")


class Archive:
    """The members of an archive; raises a DocumentError when it is none, is protected or expands to too much."""

    def __init__(self, data: bytes, max_bytes: int) -> None:
        if data.startswith(_COMPOUND_FILE):
            raise _compound_file(data)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            raise damaged() from error
        self._max_bytes, self._bytes = max_bytes, 0
        self._uncounted = {info.filename: info.file_size for info in self._zip.infolist()}
        self.names: Collection[str] = dict.fromkeys(self._uncounted)
        self._count(*(name for name in self.names if name.lower().endswith(_TEXT_PARTS)))

    def _count(self, *names: str) -> None:
        """Adds what these expand to, once each."""
        self._bytes += sum(self._uncounted.pop(name, 0) for name in names)
        if self._bytes > self._max_bytes:
            raise too_large(self._bytes, self._max_bytes)

    def read(self, name: str) -> bytes:
        """The member's content; its name may be none of those that were counted at first."""
        self._count(name)
        try:
            return self._zip.read(name)
        except KeyError as error:
            raise damaged() from error
        except RuntimeError as error:
            raise ProtectedDocument("is protected by a password; remove it and submit again") from error
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, ValueError) as error:
            raise damaged() from error

    def xml(self, name: str) -> ElementTree.Element:
        """The member's root element."""
        try:
            return ElementTree.fromstring(self.read(name))  # noqa: S314 expat 2.4 and later bound the expansion of entities
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise damaged() from error

    def texts(self) -> dict[str, bytes | str]:
        """The members that may hold text, as they are."""
        return {name: self.read(name) for name in self.names if name.endswith(_TEXT_PARTS)}


def _compound_file(data: bytes) -> UnreadableDocument | ProtectedDocument:
    if "EncryptedPackage".encode("utf-16-le") in data:
        return ProtectedDocument("is protected by a password; remove it and submit again")
    return UnreadableDocument("is an Office file of the old format; save it as DOCX or PPTX and submit that")


def local_name(element: ElementTree.Element) -> str:
    """The element's name without its namespace; "" for a comment."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def pack(members: Mapping[str, bytes | str]) -> bytes:
    """A ZIP archive with these members, not compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return buffer.getvalue()
