"""A child process that dies with its parent, whatever kills the parent.

For the embedded Redis server and the supervisor; what a child is for, they know. Linux tells a child of its
parent's death (PR_SET_PDEATHSIG); elsewhere a child outlives a parent that is killed with SIGKILL.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import IO

#: Runs first in the child, then becomes the program itself (same pid). Not a ``preexec_fn``: that runs Python
#: between fork and exec, which can deadlock when the parent has threads. The parent may have died before
#: prctl was called, hence the look at getppid. Python ignores SIGPIPE, and exec would hand that on.
_GUARD = """
import os, signal, sys
parent, number, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, number)
except (ImportError, OSError, AttributeError):
    pass
if os.getppid() != parent:
    sys.exit(143)
for name in ("SIGPIPE", "SIGXFSZ"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
try:
    os.execvp(program[0], program)
except OSError as error:
    sys.exit(f"{program[0]}: {error.strerror}")
"""

Output = int | IO[bytes] | None


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: Output = None,
    pass_fds: Sequence[int] = (),
    on_exit: Callable[[int], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``argv`` in a session of its own (the terminal's Ctrl-C does not reach it); SIGTERM when we die.

    ``output`` takes stdout and stderr; ``on_exit`` gets the return code, in another thread. Raises OSError.
    """
    guarded = [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()), str(int(signal.SIGTERM)), *argv]
    started: SimpleQueue[subprocess.Popen[bytes] | OSError] = SimpleQueue()

    def live_as_long_as_the_child() -> None:
        # The kernel means the parent *thread*: were it to end first, the child would be told to die.
        try:
            child = subprocess.Popen(
                guarded,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output is not None else None,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        except OSError as error:
            started.put(error)
            return
        started.put(child)
        code = child.wait()
        if on_exit is not None:
            on_exit(code)

    Thread(target=live_as_long_as_the_child, name=f"parent of {argv[0]}", daemon=True).start()
    child = started.get()
    if isinstance(child, OSError):
        raise child
    return child


def stop(child: subprocess.Popen[bytes], grace: float) -> bool:
    """SIGTERM, after ``grace`` seconds SIGKILL, also to the rest of its group. True if it ended by itself."""
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        child.wait(grace)
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        kill(child)


def kill(child: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the child and all of its group, and wait for the child's end."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


#: Waits until its input ends, which is when the supervisor is no more, then gives the groups on its list their
#: grace and kills them. It sends no SIGTERM where the kernel did (Linux): a second one means "at once" to Celery.
_REAPER = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
groups = {}
for line in sys.stdin:
    sign, pid, grace = line.split()
    if sign == "+":
        groups[int(pid)] = float(grace)
    else:
        groups.pop(int(pid), None)
def send(pid, number):
    try:
        os.killpg(pid, number)
        return True
    except OSError:
        return False
if not sys.platform.startswith("linux"):
    [send(pid, signal.SIGTERM) for pid in groups]
end = {pid: time.monotonic() + grace for pid, grace in groups.items()}
while end:
    time.sleep(0.05)
    for pid, limit in list(end.items()):
        if not send(pid, 0) or (time.monotonic() > limit and send(pid, signal.SIGKILL)):
            del end[pid]
"""


class Reaper:
    """Kills process groups when their grace after our own death is over: for children that ignore SIGTERM."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = Lock()

    def start(self) -> None:
        """Start it, in a session of its own: what hits our group must not hit it."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _REAPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def watch(self, pid: int, grace: float) -> None:
        """From now on it answers for this group."""
        self._tell(f"+ {pid} {grace}")

    def forget(self, pid: int) -> None:
        """The group is gone."""
        self._tell(f"- {pid} 0")

    def stop(self) -> None:
        """End it, when no group is left."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(OSError), process:
                process.communicate()

    def _tell(self, line: str) -> None:
        process = self._process
        with self._lock, suppress(OSError, ValueError):
            if process is not None and process.stdin is not None:
                process.stdin.write(line + "\n")
                process.stdin.flush()
