"""Which files are documents, what they are called, and their bytes; what is in them is for others."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from ..errors import DocumentTooLarge, EmptyDocument, InvalidInput, UnreadableDocument

#: Suffix (lower case) -> kind of converter and media type.
KINDS: Final[dict[str, tuple[str, str]]] = {
    ".txt": ("text", "text/plain"),
    ".text": ("text", "text/plain"),
    ".md": ("markdown", "text/markdown"),
    ".markdown": ("markdown", "text/markdown"),
    ".html": ("html", "text/html"),
    ".htm": ("html", "text/html"),
    ".xhtml": ("html", "application/xhtml+xml"),
    ".pdf": ("pdf", "application/pdf"),
    ".docx": ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ".pptx": ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ".epub": ("epub", "application/epub+zip"),
}

#: What a folder is searched for.
SUPPORTED_SUFFIXES: Final[tuple[str, ...]] = tuple(sorted(KINDS))

#: ``http://…`` as a path has it: with one slash.
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

_MIB: Final = 1024 * 1024
#: Characters of a name that an id keeps: enough to recognise a file, short enough for a table's column.
_ID_NAME_CHARS: Final = 60
#: Bytes of a path's hash. With four, two of 100,000 files of one name had the same, and one took the other's place.
_ID_BYTES: Final = 8


def shown(path: Path) -> str:
    """The path as one printable line, whatever bytes its name holds."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


Refuse = Callable[[Path, InvalidInput], None]


def find_files(paths: Iterable[Path], refuse: Refuse | None = None) -> list[Path]:
    """The documents in files and folders (searched recursively), sorted, each once.

    A file that is named is always kept; a folder gives its files of a supported suffix, hidden ones skipped.
    ``refuse`` is told of missing paths, folders without documents and folders that cannot be read, and the others
    are found all the same; without it, and when nothing is found, the first of the paths' errors is raised.
    """
    found: dict[Path, Path] = {}
    missing: list[tuple[Path, InvalidInput]] = []
    for path in map(Path, paths):
        try:
            for file in _expand(path, refuse):
                found.setdefault(file.resolve(), file)
        except InvalidInput as error:
            missing.append((path, error))
    if missing and (refuse is None or not found):
        raise missing[0][1]
    for place, reason in missing:
        if refuse:
            refuse(place, reason)
    return sorted(found.values())


def _expand(path: Path, refuse: Refuse | None) -> list[Path]:
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise _unreadable(path, error) from None
        if _ADDRESS.match(str(path)):
            address = shown(path).replace(":/", "://", 1)
            raise InvalidInput(f"{address}: is an address, not a file; download it and name the file") from None
        raise InvalidInput(f"{shown(path)}: no such file or folder; check the path") from None
    if not is_folder:
        return [path]

    errors: list[OSError] = []
    files = list(walk(path, errors.append))
    refusals = [(Path(error.filename), _unreadable(Path(error.filename), error)) for error in errors]
    if refusals and not files:
        raise refusals[0][1]
    for place, reason in refusals:
        if refuse:
            refuse(place, reason)
    if not files:
        suffixes = " ".join(SUPPORTED_SUFFIXES)
        raise InvalidInput(f"{shown(path)}: no documents in this folder; looked for {suffixes}")
    return files


def _unreadable(path: Path, error: OSError) -> InvalidInput:
    return InvalidInput(f"{shown(path)}: cannot be read ({error.strerror}); check its name and permissions")


def walk(folder: Path, onerror: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """A folder's documents, in no order; links to folders are not followed.

    What cannot be read is left out, and told to ``onerror``.
    """
    for parent, folders, names in os.walk(folder, onerror=onerror):
        folders[:] = [name for name in folders if not _hidden(name)]
        for name in names:
            file = Path(parent, name)
            if file.suffix.lower() in KINDS and not _hidden(name) and _is_file(file, onerror):
                yield file


def _is_file(path: Path, onerror: Callable[[OSError], None] | None) -> bool:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise OSError(errno.EINVAL, "not a file", str(path))
    except OSError as error:  # a folder that may be listed, but not entered; a link to nothing; a pipe
        if onerror is not None:
            onerror(error)
        return False
    return stat.S_ISREG(mode)


def _hidden(name: str) -> bool:
    """Dot files, and the lock files that Office leaves beside an open document."""
    return name.startswith((".", "~$"))


def document_id_for(path: Path, root: Path | None = None) -> str:
    """A readable, stable id: the file's name, ``-``, and sixteen hexadecimal digits of where it lies.

    The digits keep files of one name in different folders apart. Without ``root`` they come from the absolute
    path, so the current folder does not matter; with ``root`` name and digits come from the path below it, so
    the ids stay when the whole folder moves (do not mix two roots in one store).
    """
    where = Path(path).resolve()
    name = where.name
    if root is not None:
        where = where.relative_to(Path(root).resolve())
        name = where.as_posix()
    raw = unicodedata.normalize("NFC", os.fsencode(where).decode("utf-8", "surrogateescape"))
    digits = hashlib.blake2b(raw.encode("utf-8", "surrogateescape"), digest_size=_ID_BYTES).hexdigest()
    readable = re.sub(r"[^\w.]+", "-", unicodedata.normalize("NFC", name)).strip("-.")
    return f"{readable[-_ID_NAME_CHARS:].lstrip('-.') or 'document'}-{digits}"


def source_of(path: Path) -> str:
    """The absolute path, as a ``file:`` URI where the name's bytes are not UTF-8 (a store could not keep them)."""
    return source_of_real(Path(path).resolve())


def source_of_real(absolute: Path) -> str:
    """The same for a path without links: a look at the disk less."""
    try:
        str(absolute).encode("utf-8")
    except UnicodeEncodeError:
        return absolute.as_uri()
    return str(absolute)


def read_file(path: Path, max_bytes: int) -> bytes:
    """The file's bytes; raises before it reads anything when there are more than ``max_bytes``."""
    try:
        if not path.exists():
            raise InvalidInput("no such file; check the path")
        if not path.is_file():
            raise InvalidInput("not a file; name a file, or give the folder to a command that searches folders")
        size = path.stat().st_size
        if size <= max_bytes:
            with path.open("rb") as stream:
                data = stream.read(max_bytes + 1)
            size = len(data)
    except OSError as error:
        raise UnreadableDocument(f"cannot be read ({error.strerror}); check its name and permissions") from error
    if size > max_bytes:
        raise too_large(size, max_bytes)
    if not data:
        raise EmptyDocument("the file is empty; nothing to submit")
    return data


def too_large(size: int, max_bytes: int) -> DocumentTooLarge:
    """The error for ``size`` bytes where ``max_bytes`` are allowed."""
    return DocumentTooLarge(
        f"{size / _MIB:,.1f} MB is over the limit of {max_bytes / _MIB:,.1f} MB;"
        " split it, or raise SMART_RAG_MAX_FILE_MB"
    )
