"""The converter process: reads requests from stdin, writes answers to stdout, one at a time, until stdin ends.

A request is a line of JSON (kind, size, max_bytes) and ``size`` bytes; an answer is a line of JSON, the fields
of a Converted or an error's class and message. The parent keeps the time (:mod:`..isolation`).
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
from dataclasses import asdict
from typing import BinaryIO, Final

from ...errors import DocumentError
from . import convert

#: Bytes of memory; beyond it allocation fails and the process ends, not the machine's other work.
_MAX_MEMORY: Final = 2 * 1024**3
#: Seconds without a request after which the process ends and gives its memory back.
_IDLE: Final = 30.0


def main() -> None:
    """Serve until stdin ends or nothing comes for a while."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    _fence()
    while select.select([requests], [], [], _IDLE)[0]:
        header = requests.readline()
        if not header:
            break
        answers.write(_answer(json.loads(header), requests) + b"\n")
        answers.flush()


def _fence() -> None:
    """Nothing that a library prints gets out, signals to the group are the parent's, memory is bounded."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (_MAX_MEMORY, _MAX_MEMORY))


def _answer(request: dict[str, object], requests: BinaryIO) -> bytes:
    data = requests.read(int(str(request["size"])))
    try:
        converted = convert(str(request["kind"]), data, int(str(request["max_bytes"])))
    except DocumentError as error:
        return json.dumps({"error": type(error).__name__, "message": str(error)}).encode()
    return json.dumps(asdict(converted)).encode()


if __name__ == "__main__":
    main()
