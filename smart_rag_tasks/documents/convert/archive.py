"""ZIP archives (DOCX, PPTX, EPUB), read within bounds."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Final

from ...errors import ProtectedDocument, UnreadableDocument
from ..files import too_large

#: Compound File, an Office file of before 2007, is also the envelope of an encrypted one.
_COMPOUND_FILE: Final = b"\xd0\xcf\x11\xe0"
_TEXT_PARTS: Final = (".xml", ".rels", ".xhtml", ".html", ".htm", ".opf", ".ncx")
_DAMAGED: Final = "is damaged or cut off; open it in its program, save it again and submit that"


class Archive:
    """The members of an archive; raises a DocumentError when it is none, is protected or expands to too much."""

    def __init__(self, data: bytes, max_bytes: int) -> None:
        if data.startswith(_COMPOUND_FILE):
            raise _compound_file(data)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            raise UnreadableDocument(_DAMAGED) from error
        infos = self._zip.infolist()
        size = sum(info.file_size for info in infos if info.filename.lower().endswith(_TEXT_PARTS))
        if size > max_bytes:
            raise too_large(size, max_bytes)
        self.names = tuple(info.filename for info in infos)

    def bytes(self, name: str) -> bytes:
        """The member's content."""
        try:
            return self._zip.read(name)
        except KeyError as error:
            raise UnreadableDocument(_DAMAGED) from error
        except RuntimeError as error:
            raise ProtectedDocument("is protected by a password; remove it and submit again") from error
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, ValueError) as error:
            raise UnreadableDocument(_DAMAGED) from error

    def text(self, name: str) -> str:
        """The member as text; Office writes UTF-8."""
        return self.bytes(name).decode("utf-8-sig", "replace")


def _compound_file(data: bytes) -> UnreadableDocument | ProtectedDocument:
    if "EncryptedPackage".encode("utf-16-le") in data:
        return ProtectedDocument("is protected by a password; remove it and submit again")
    return UnreadableDocument("is an Office file of the old format; save it as DOCX or PPTX and submit that")


def pack(archive: Archive, parts: Mapping[str, str]) -> bytes:
    """A ZIP archive with the same members, those in ``parts`` with the text given there; not compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name in dict.fromkeys(archive.names):
            if name.endswith(_TEXT_PARTS):
                packed.writestr(name, parts.get(name) or archive.bytes(name))
    return buffer.getvalue()
