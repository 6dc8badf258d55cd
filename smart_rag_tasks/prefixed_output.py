"""The output of several processes in one terminal or file, each line behind its process's name."""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TextIO

_COLOURS: Final = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")
#: Lines of a quiet process that are shown when it dies.
_LAST_WORDS: Final = 20


class Display:
    """Writes ``name | line``, names in a column and each in its colour; or JSON, an object a line."""

    def __init__(self, out: TextIO, names: Sequence[str], colour: bool | None = None, *, as_json: bool = False) -> None:
        """``colour`` None: where ``out`` is a terminal and NO_COLOR is not set."""
        self._out = out
        self._as_json = as_json
        self._width = max((len(name) for name in names), default=0)
        self._colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(names)}
        self._coloured = out.isatty() and "NO_COLOR" not in os.environ if colour is None else colour
        self._lock = threading.RLock()  # a signal handler may write in the middle of a line's writing

    def line(self, name: str, text: str) -> None:
        """One line of a process, or about it."""
        whole = (
            json.dumps({"process": name, "line": text}) if self._as_json else f"{self._prefix(name)} {text}".rstrip(" ")
        )
        with self._lock:
            try:
                self._out.write(f"{whole}\n")
                self._out.flush()
            except (OSError, ValueError):
                pass  # the terminal was closed, or the file: the processes matter more

    def _prefix(self, name: str) -> str:
        prefix = f"{name:<{self._width}} |"
        if self._coloured and name in self._colours:
            prefix = f"\033[{self._colours[name]}m{prefix}\033[0m"
        return prefix


class Pump:
    """Carries what one process prints to the display, until the last holder of its pipe is gone."""

    def __init__(self, display: Display, name: str, *, quiet: bool) -> None:
        self._display = display
        self._name = name
        self._quiet = quiet
        self._last: deque[str] = deque(maxlen=_LAST_WORDS)
        self._read, self._write = os.pipe()
        self._thread = threading.Thread(target=self._carry, name=f"output of {name}", daemon=True)

    @contextmanager
    def write_end(self) -> Iterator[int]:
        """The file descriptor to start the process with."""
        self._thread.start()
        try:
            yield self._write
        finally:
            os.close(self._write)

    def finish(self, *, show: bool) -> None:
        """After the process's end: what is still in the pipe, and, if ``show``, what a quiet process said last."""
        self._thread.join(1.0)  # a process that left our group may hold the pipe for ever
        while show and self._last:
            self._display.line(self._name, self._last.popleft())

    def _carry(self) -> None:
        with os.fdopen(self._read, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                text = line.rstrip("\n")
                if self._quiet:
                    self._last.append(text)
                else:
                    self._display.line(self._name, text)
