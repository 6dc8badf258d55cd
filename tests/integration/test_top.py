"""`top` in a terminal of 80 × 24, and where there is none."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator

import pytest
from desk import PROGRAM, SECRET, Desk


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("top"))
    try:
        made.worker()
        made.submit("done.md", [f"done {number}" for number in range(20)])
        made.submit("mixed.md", ["a", "FAIL b", "c"])
        yield made
    finally:
        made.close()


def test_a_frame_fits_80_by_24_and_says_what_matters(desk: Desk) -> None:
    desk.submit("a-document-with-a-long-name/" * 4, [f"WAIT 0.3 {number}" for number in range(60)], wait=False)
    text = desk.rag("top").stdout
    lines = text.splitlines()
    assert len(lines) <= 24
    assert max(len(line) for line in lines) <= 80
    assert "1 with errors" in text
    assert re.search(r"metadata_queue +\d+ +\d+", text)
    assert re.search(r"worker@\S+ +[12] ", text)
    assert re.search(r"a-document-with-a-long.*/60", text)
    assert "1 failed" in text
    assert SECRET not in text


def test_json_for_machines(desk: Desk) -> None:
    found = json.loads(desk.rag("top", "--json").stdout)
    assert found["metrics"]["smart_rag_documents"]["completed"] >= 1
    assert found["failures"][0]["document_id"] == "mixed.md"


def test_live_it_refreshes_and_ends_with_ctrl_c(desk: Desk) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(desk.folder)
        os.execve(sys.executable, [sys.executable, "-c", PROGRAM, "top", "--every=0.5"], {**desk.env, "TERM": "xterm"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen, end = b"", time.monotonic() + 30
    while len(clocks(seen)) < 3 and time.monotonic() < end:
        seen += os.read(terminal, 65536)
    os.kill(pid, signal.SIGINT)
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(clocks(seen)) >= 3
    assert b"a second" in seen
    assert b"Traceback" not in seen


def clocks(seen: bytes) -> set[bytes]:
    """The different times that frames were made at."""
    return set(re.findall(rb"\d\d:\d\d:\d\d", seen))
