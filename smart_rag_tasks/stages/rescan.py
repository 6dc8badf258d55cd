"""The re-scan of a watched folder: which files are new, changed or gone, and which documents deserve another try.

Rules, as in docs/howto/schedules.md: what is in flight is left alone; an unchanged file costs one stat; a file must
be missing in two scans before its document is deleted, and nothing is deleted when the folder is gone or empty, which
is how an unmounted disk looks. Who sends and deletes is ``maintenance``: here it is only decided, and noted.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Row

from ..documents.files import shown, source_of, source_of_real, walk
from ..errors import InvalidInput
from ..models import TERMINAL, Json, RunStatus
from ..reliability.retry import PERMANENT
from ..store import facts, schedules, watched
from .environment import Environment
from .timetable import RESCAN_EVERY, RESCAN_PREFIX

logger = logging.getLogger(__name__)

#: Share of the soft time limit after which a scan reads no more files; the next one goes on there.
BUDGET: Final = 0.5

#: Characters of a path that a database can index.
MAX_SOURCE: Final = 2000

#: Before a folder's name, in the name of the fact that says what its last scan found.
SCANNED: Final = "rescan:"

#: Size that is noted of a file that could not be read. None has it: the next scan looks again, for a change of
#: permissions is neither one of the size nor of the time.
UNREADABLE: Final = -1

_IN_TROUBLE: Final = (RunStatus.FAILED, RunStatus.COMPLETED_WITH_ERRORS)


@dataclass(slots=True)
class Scan:
    """What a scan found to do, and what it left alone."""

    folder: str
    #: Epoch seconds.
    at: float
    #: Why nothing was looked at, "" when all was well.
    problem: str = ""
    files: int = 0
    #: New or changed files, to be handed to workers.
    ingest: list[str] = field(default_factory=list)
    #: Documents with failed chunks that are worth another try, and those chunks; None: all.
    retry: dict[str, frozenset[str] | None] = field(default_factory=dict)
    #: Documents whose files are gone.
    delete: list[str] = field(default_factory=list)
    in_flight: int = 0
    #: Files that cannot be taken in until they change.
    refused: int = 0
    #: Files that the next scan has to read.
    left: int = 0


def rescan(env: Environment, folder: str, intake_length: Callable[[], int]) -> Scan:
    """Scan a watched folder and note what was seen. ``intake_length``: messages that wait for an ingest.

    Whoever gets the Scan sends ``ingest`` and ``retry``, and deletes ``delete``.
    """
    scan = Scan(folder, time.time())
    with env.store.read() as connection:
        entry = schedules.get(connection, f"{RESCAN_PREFIX}{folder}")
    if entry is None:
        scan.problem = f"{folder} is not watched any more"
        return scan
    _Scanner(env, scan, entry.every or RESCAN_EVERY, intake_length).work()
    with env.store.write() as connection:
        facts.put(env.store, connection, SCANNED + folder, _summary(scan), scan.at)
    return scan


def last_scans(env: Environment) -> dict[str, Json]:
    """What the last scan of each folder found, in numbers, by folder."""
    with env.store.read() as connection:
        return facts.starting_with(connection, SCANNED)


@contextmanager
def outcome_noted(env: Environment, path: Path) -> Iterator[None]:
    """Note what becomes of a watched file that is taken in within the block, and which state of the file it was."""
    try:
        there = path.stat()
        seen = {"size": there.st_size, "mtime_ns": there.st_mtime_ns}
    except OSError:
        seen = {}
    try:
        yield
    except InvalidInput as refusal:
        if seen and not os.access(path, os.R_OK):
            seen["size"] = UNREADABLE
        _note_outcome(env, path, {**seen, "error": str(refusal)[:2000]})
        raise
    _note_outcome(env, path, {**seen, "error": ""})


def _note_outcome(env: Environment, path: Path, values: Json) -> None:
    with env.store.write() as connection:
        watched.note_outcome(connection, source_of(path), values)


def _summary(scan: Scan) -> Json:
    return {name: len(value) if isinstance(value, (list, dict)) else value for name, value in asdict(scan).items()}


class _Scanner:
    """One scan."""

    def __init__(self, env: Environment, scan: Scan, every: float, intake_length: Callable[[], int]) -> None:
        self.env, self.scan, self.every, self.intake_length = env, scan, every, intake_length
        self.deadline = time.monotonic() + env.settings.soft_time_limit * BUDGET
        self._intake_empty: bool | None = None
        self.rows: list[Json] = []
        self.gone: list[str] = []

    def work(self) -> None:
        root = Path(self.scan.folder)
        with self.env.store.read() as connection:
            self.known = watched.files(connection, self.scan.folder)
            self.documents = watched.documents_below(connection, f"{root}/", f"{root.as_uri()}/")
        files = dict(self._files(root))
        self.scan.files = len(files)
        if not files:
            self.scan.problem = self._problem(root)
            return
        for source, path in files.items():
            self._look(source, path)
        for source in self.known.keys() - files.keys():
            self._missing(source, self.known[source])
        with self.env.store.write() as connection:
            watched.put(self.env.store, connection, self.rows)
            watched.forget(connection, self.gone)

    def _files(self, root: Path) -> Iterator[tuple[str, Path]]:
        """The folder's documents by source; links that lead out of it are not followed."""
        for path in walk(root):
            real = path.resolve() if path.is_symlink() else path  # the root is real, and so are the folders below
            source = source_of_real(real)
            if real.is_relative_to(root) and len(source) <= MAX_SOURCE:
                yield source, real

    def _problem(self, root: Path) -> str:
        """Why an empty folder is not taken at its word, "" when it may be."""
        if not root.is_dir():
            return f"{root} is not there: nothing is deleted; is its disk mounted?"
        if self.known:
            return (
                f"{root} holds no documents any more: nothing is deleted; is its disk mounted?"
                " `watch remove` and `delete`, if that is meant"
            )
        return ""

    # -- a file that is there

    def _look(self, source: str, path: Path) -> None:
        known, document = self.known.get(source), self.documents.get(source)
        if document is not None and document.status not in TERMINAL:
            self.scan.in_flight += 1
            return
        try:
            there = path.stat()
        except OSError:
            return  # gone since the folder was read: the next scan sees that
        seen = {"source": source, "folder": self.scan.folder, "size": there.st_size, "mtime_ns": there.st_mtime_ns}
        if known is None or (known.size, known.mtime_ns) != (there.st_size, there.st_mtime_ns):
            self._changed(seen, path, document)
        elif known.sent_at is not None:
            self._sent(seen, path, known, document)
        elif known.error:
            self.scan.refused += 1
            self._keep(seen, known)
        elif document is not None and document.status in _IN_TROUBLE:
            self._trouble(seen, known, document)
        else:
            self._keep(seen, known)

    def _changed(self, seen: Json, path: Path, document: Row[Any] | None) -> None:
        """New to us, or touched: its bytes decide. A file without a document need not be read to know."""
        digest = ""
        if document is None and not os.access(path, os.R_OK):
            self._unreadable(seen, path, os.strerror(errno.EACCES))
            return
        if document is not None:
            if time.monotonic() > self.deadline:
                self.scan.left += 1
                return
            try:
                digest = _sha256(path)
            except OSError as error:
                self._unreadable(seen, path, error.strerror or type(error).__name__)
                return
        if document is not None and digest == document.source_hash:
            self._note(seen, source_hash=digest)
        else:
            self._ingest(seen, path, digest, tries=0)

    def _unreadable(self, seen: Json, path: Path, reason: str) -> None:
        """Told once; it is tried again at each scan, which costs nothing while it cannot be read."""
        known = self.known.get(seen["source"])
        if known is not None and known.size == UNREADABLE:
            self.scan.refused += known.error != ""  # an operator may have accepted it
            self._keep({}, known)
            return
        error = f"{shown(path)}: cannot be read ({reason}); check its permissions"
        logger.warning("re-scan: %s", error)
        self.scan.refused += 1
        self._note({**seen, "size": UNREADABLE}, error=error)

    def _sent(self, seen: Json, path: Path, known: Row[Any], document: Row[Any] | None) -> None:
        """It was handed to a worker, and no outcome was noted: stored meanwhile, waiting, or lost."""
        settings = self.env.settings
        overdue = self.scan.at > known.sent_at + max(settings.lost_after, settings.time_limit)
        if document is not None and known.source_hash in ("", document.source_hash):
            self._note(seen, source_hash=document.source_hash)
        elif not (overdue and self._is_intake_empty()):
            self.scan.in_flight += 1
        elif known.tries + 1 < settings.max_attempts:
            self._ingest(seen, path, known.source_hash, tries=known.tries + 1)
        else:
            self.scan.refused += 1
            self._note(seen, error=f"was handed to a worker {known.tries + 1} times without an outcome; see its log")

    def _is_intake_empty(self) -> bool:
        if self._intake_empty is None:
            self._intake_empty = self.intake_length() == 0
        return self._intake_empty

    def _trouble(self, seen: Json, known: Row[Any], document: Row[Any]) -> None:
        """Failed chunks get another try, later each time; not those whose next try would end the same way."""
        wait = self.every * (2**known.tries - 1)
        if known.tries >= self.env.settings.max_attempts or self.scan.at < document.updated_at + wait:
            self._keep(seen, known)
            return
        with self.env.store.read() as connection:
            failed = watched.failed_chunks(connection, document.document_id)
        worth = frozenset(chunk_id for chunk_id, kind in failed.items() if kind not in PERMANENT)
        if document.reason or worth:
            self.scan.retry[document.document_id] = None if document.reason else worth
            self._note(seen, source_hash=known.source_hash, tries=known.tries + 1)
        else:
            self._keep(seen, known)

    # -- a file that is not there

    def _missing(self, source: str, known: Row[Any]) -> None:
        document = self.documents.get(source)
        if document is not None and document.status not in TERMINAL:
            self.scan.in_flight += 1
        elif not _is_gone(source):
            return
        elif known.missing_since is None:
            self.rows.append({**known._mapping, "missing_since": self.scan.at})
        elif document is not None:  # its row stays until the document is gone: a scan that dies is made up for
            self.scan.delete.append(document.document_id)
        else:
            self.gone.append(source)

    # -- notes

    def _ingest(self, seen: Json, path: Path, digest: str, *, tries: int) -> None:
        """Noted before anything is sent: if this process dies now, a later scan sends it."""
        self.scan.ingest.append(str(path))
        self._note(seen, source_hash=digest, sent_at=self.scan.at, tries=tries)

    def _keep(self, seen: Json, known: Row[Any]) -> None:
        if known.missing_since is not None:
            self.rows.append({**known._mapping, **seen, "missing_since": None})

    def _note(
        self, seen: Json, *, source_hash: str = "", sent_at: float | None = None, tries: int = 0, error: str = ""
    ) -> None:
        row = {"source_hash": source_hash, "sent_at": sent_at, "tries": tries, "missing_since": None, "error": error}
        self.rows.append({**seen, **row})


def left_behind(env: Environment, root: Path) -> list[str]:
    """Documents that were made from files below a folder, where each of these is certainly gone."""
    with env.store.read() as connection:
        below = watched.documents_below(connection, f"{root}/", f"{root.as_uri()}/")
    return [row.document_id for source, row in below.items() if _is_gone(source)]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_gone(source: str) -> bool:
    """Whether the file is certainly not there, or something else is in its place: a folder, a pipe, a link.

    A source has no links: one that is there now leads to what is a document of its own, or none of this folder.
    A folder that cannot be read proves nothing, nor does a network mount that is away.
    """
    try:
        there = Path(_path_of(source)).lstat()
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)
    return not stat.S_ISREG(there.st_mode)


def _path_of(source: str) -> str:
    from urllib.parse import unquote_to_bytes

    if source.startswith("file://"):
        return os.fsdecode(unquote_to_bytes(source.removeprefix("file://")))
    return source
