"""A small process supervisor: starts, watches, restarts and stops named processes, and shows what they print.

`up` runs it in the foreground, `run` in the background with its output in a log file. Nothing is left behind, even
when the supervisor is killed with SIGKILL: each child is told (``child``), and a reaper kills what does not obey.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, TextIO

from . import child
from .errors import SmartRagError
from .prefixed_output import Display, Pump

#: Seconds before the first restart; doubled each time.
FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0
#: Seconds after which a process counts as well: its next restart is fast again.
STEADY: Final = 30.0
#: What our programs end with when their settings or command line are wrong; believed of the first starts only.
WRONG_USAGE: Final = 2
MOST_REFUSALS: Final = 3
#: Ctrl-C; what `kill`, docker and systemd send; the terminal was closed.
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Process:
    """What to run, and how to treat it."""

    name: str
    argv: Sequence[str]
    #: Added to our own environment.
    env: Mapping[str, str] = field(default_factory=dict)
    #: Seconds from SIGTERM to SIGKILL.
    grace: float = 10.0
    #: Whether to start it again when it ends by itself.
    restart: bool = True
    #: Show its output only when it dies.
    quiet: bool = False
    #: Stop it after all the others: they need it.
    stop_last: bool = False
    cwd: Path | None = None


class Supervisor:
    """Runs processes; as a context manager in the background, with `wait` in the foreground."""

    def __init__(
        self,
        processes: Sequence[Process],
        out: TextIO | None = None,
        *,
        colour: bool | None = None,
        as_json: bool = False,
    ) -> None:
        self._display = Display(out or sys.stdout, [process.name for process in processes], colour, as_json=as_json)
        self._reaper = child.Reaper()
        self._units = [_Unit(process, self._display, self._reaper) for process in processes]
        self._asked = threading.Event()
        self._hurry = threading.Event()

    def start(self) -> None:
        """Start all, in the given order; raises SmartRagError when a program is not there, and none is left then."""
        self._reaper.start()
        try:
            for unit in self._units:
                unit.start()
        except BaseException:
            self.stop()
            raise

    def wait(self) -> int:
        """Block until Ctrl-C or SIGTERM, or until all have ended for good or one refuses to start; then stop the rest.

        A second Ctrl-C kills. Gives 1 when a process failed that is not restarted, else 0.
        """
        with self._signals():
            while not self._asked.wait(0.1) and any(unit.wanted() for unit in self._units) and not self.refusing():
                pass
            self.stop()
        return 1 if any(unit.failed for unit in self._units) else 0

    def stop(self) -> None:
        """Stop all: SIGTERM, and after each one's grace SIGKILL; returns when none is left."""
        for last in (False, True):
            self._stop_units([unit for unit in reversed(self._units) if unit.process.stop_last is last])
        self._reaper.stop()

    def _stop_units(self, units: Sequence[_Unit]) -> None:
        stoppers = [threading.Thread(target=unit.stop, daemon=True) for unit in units]
        for stopper in stoppers:
            stopper.start()
        while any(stopper.is_alive() for stopper in stoppers):
            if self._hurry.wait(0.05):
                for unit in units:
                    unit.kill()

    def alive(self) -> dict[str, bool]:
        """Which of them run now."""
        return {unit.process.name: unit.pid is not None for unit in self._units}

    def refusing(self) -> list[str]:
        """Which of them are not started again, because they end with a complaint about settings or usage each time."""
        return [unit.process.name for unit in self._units if unit.refused]

    def starts(self) -> dict[str, int]:
        """How often each of them was started."""
        return {unit.process.name: unit.starts for unit in self._units}

    def pids(self) -> dict[str, int | None]:
        """Their process ids, None for those that do not run now."""
        return {unit.process.name: unit.pid for unit in self._units}

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all; Ctrl-C meanwhile kills what is left instead of leaving it behind."""
        self._asked.set()
        with self._signals():
            self.stop()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # only the main one hears signals
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in _STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._asked.is_set():
            self._hurry.set()
            return
        longest = max((unit.process.grace for unit in self._units), default=0)
        self._display.line("", f"stopping, {longest:g} s at most (Ctrl-C again: at once)")
        self._asked.set()


class _Unit:
    """One process through all its lives."""

    def __init__(self, process: Process, display: Display, reaper: child.Reaper) -> None:
        self.process = process
        self.failed = False
        self.refused = False
        self.starts = 0
        self._display = display
        self._reaper = reaper
        self._child: subprocess.Popen[bytes] | None = None
        self._pump: Pump | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._life = threading.Thread(target=self._live, name=f"supervisor of {process.name}", daemon=True)

    @property
    def pid(self) -> int | None:
        running = self._child
        return running.pid if running is not None and running.poll() is None else None

    def wanted(self) -> bool:
        """Whether it runs, or will again."""
        return self._life.is_alive()

    def start(self) -> None:
        env = self._environment()
        if shutil.which(self.process.argv[0], path=env.get("PATH")) is None:
            raise SmartRagError(f"cannot start {self.process.name}: there is no program {self.process.argv[0]}")
        self._spawn(env)
        self._life.start()

    def _environment(self) -> Mapping[str, str]:
        # A Python program's output would else come in blocks of 8 KB, long after the fact.
        return {**os.environ, "PYTHONUNBUFFERED": "1", **self.process.env}

    def _spawn(self, env: Mapping[str, str]) -> bool:
        with self._lock:
            if self._stopping.is_set():
                return False
            self._pump = Pump(self._display, self.process.name, quiet=self.process.quiet)
            with self._pump.write_end() as output:
                self._child = child.spawn(self.process.argv, env=env, cwd=self.process.cwd, output=output)
            self._reaper.watch(self._child.pid, self.process.grace)
            self.starts += 1
        self._say(f"started (pid {self._child.pid})")
        return True

    def _live(self) -> None:
        delay, refusals = FIRST_DELAY, 0
        while True:
            begin = time.monotonic()
            code = self._end_of_life()
            if self._stopping.is_set():
                return self._say(_end(code))
            if not self.process.restart:
                self.failed = code != 0
                return self._say(_end(code))
            if time.monotonic() - begin > STEADY:
                delay = FIRST_DELAY
            refusals += code == WRONG_USAGE
            if refusals == self.starts == MOST_REFUSALS:
                self.failed = self.refused = True
                return self._say(f"{_end(code)}, {refusals} times in a row: mend what it says")
            self._say(f"{_end(code)}; starting again in {delay:g} s")
            if self._stopping.wait(delay) or not self._spawn(self._environment()):
                return None
            delay = min(2 * delay, LONGEST_DELAY)

    def _end_of_life(self) -> int:
        """Wait for the child's end; whatever else is left of its group dies with it."""
        assert self._child is not None and self._pump is not None
        code = self._child.wait()
        child.kill(self._child)
        self._reaper.forget(self._child.pid)
        self._pump.finish(show=code != 0 and not self._stopping.is_set())
        return code

    def stop(self) -> None:
        with self._lock:
            self._stopping.set()
        if self._child is not None:
            child.stop(self._child, self.process.grace)
        if self._life.is_alive():
            self._life.join()

    def kill(self) -> None:
        if self._child is not None:
            child.kill(self._child)

    def _say(self, text: str) -> None:
        self._display.line(self.process.name, text)


def _end(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}" if code else "ended"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"
