"""Converters run in a process of their own, one for each process that needs one, kept while it is busy.

Why: a 2 KB EPUB or PPTX nested deeply enough ends the process that hands it to kreuzberg (stack overflow in
native code), a 1 MB PDF can take 2 GB, and a panic inside prints to stderr. Here that costs one document, with
an error that says so.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from .. import errors
from ..errors import DocumentError, UnreadableDocument
from .converted import Converted, Heading

#: Seconds a file may take; below the soft time limit of the tasks that ask (90 s).
MAX_SECONDS: Final = 60.0
_MODULE: Final = f"{__package__}.convert"
#: It ended by itself for lack of work, at the moment when there was some.
_IDLE: Final = "was idle"

_lock = threading.Lock()
_process: subprocess.Popen[bytes] | None = None


def convert_apart(kind: str, data: bytes, max_bytes: int) -> Converted:
    """What ``convert`` gives; raises UnreadableDocument as well when it takes too long, too much, or dies."""
    header = json.dumps({"kind": kind, "size": len(data), "max_bytes": max_bytes}).encode() + b"\n"
    with _lock:
        answer, why = _ask(header, data)
        if why == _IDLE:
            answer, why = _ask(header, data)
    if not answer:
        raise UnreadableDocument(f"cannot be converted: the converter {why}; save it anew, or split it")
    fields = json.loads(answer)
    if "error" in fields:
        raise _error(fields)
    return _converted(fields)


def _ask(header: bytes, data: bytes) -> tuple[bytes, str]:
    """(the answer's line, "") or (b"", why there is none)."""
    process = _running()
    assert process.stdin and process.stdout
    limit = time.monotonic() + MAX_SECONDS
    timer = threading.Timer(MAX_SECONDS, process.kill)
    timer.daemon = True
    timer.start()
    try:
        process.stdin.write(header)
        process.stdin.write(data)  # not joined to the header: that would hold a large file twice
        process.stdin.flush()
        answer = process.stdout.readline()
    except BrokenPipeError:
        answer = b""
    except BaseException:  # Ctrl-C, a soft time limit: the answer still to come must not be taken for the next one
        process.kill()
        process.wait()
        raise
    finally:
        timer.cancel()
    if answer.endswith(b"\n"):
        return answer, ""
    return b"", _ended(process.wait(), time.monotonic() >= limit)


def _running() -> subprocess.Popen[bytes]:
    global _process
    if _process is None or _process.poll() is not None:
        # The child must find what this process found, this package before all; few threads keep memory low.
        paths = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        environment |= {"TOKIO_WORKER_THREADS": "1", "RAYON_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        _process = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
    return _process


def _ended(code: int, late: bool) -> str:
    if late:
        return f"took more than {MAX_SECONDS:.0f} s"
    return _IDLE if code == 0 else "failed on it, or needs too much memory"


@atexit.register
def _stop() -> None:
    """The end of its input is what ends the converter; kill only shortens the wait."""
    if _process is not None:
        _process.kill()
        _process.wait()


def _forget() -> None:
    """After a fork the process and the lock are the parent's."""
    global _lock, _process
    _lock, _process = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)


def _error(fields: dict[str, Any]) -> DocumentError:
    kind: type[DocumentError] = getattr(errors, fields["error"])
    return kind(fields["message"])


def _converted(fields: dict[str, Any]) -> Converted:
    headings = fields["headings"]
    fields["headings"] = None if headings is None else tuple(Heading(**heading) for heading in headings)
    fields["pages"] = tuple((offset, page) for offset, page in fields["pages"])
    return Converted(**fields)
