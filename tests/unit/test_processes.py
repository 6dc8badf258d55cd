"""The supervisor, with real processes."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from smart_rag_tasks import processes
from smart_rag_tasks.errors import SmartRagError
from smart_rag_tasks.processes import Process, Supervisor

#: Prints a line for each SIGTERM that it ignores.
STUBBORN = "import signal,time; signal.signal(15, lambda *a: print('no', flush=True)); print('up', flush=True)\n"
STUBBORN += "while True: time.sleep(60)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def eventually(what: Callable[[], object], limit: float = 10.0) -> bool:
    end = time.monotonic() + limit
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FIRST_DELAY", 0.05)


class TestOutput:
    def test_names_stand_in_a_column(self, out: io.StringIO) -> None:
        two = [
            Process("worker", ["sh", "-c", "echo one; echo two >&2"], restart=False),
            Process("beat", ["sh", "-c", "echo 三"], restart=False),
        ]
        supervisor = Supervisor(two, out)
        supervisor.start()
        assert supervisor.wait() == 0
        lines = out.getvalue().splitlines()
        assert {"worker | one", "worker | two", "beat   | 三", "worker | ended", "beat   | ended"} < set(lines)
        assert all(re.match(r"(worker|beat  ) \| ", line) for line in lines)

    def test_json_is_an_object_a_line(self, out: io.StringIO) -> None:
        supervisor = Supervisor([Process("beat", ["echo", '三 "x"'], restart=False)], out, as_json=True)
        supervisor.start()
        supervisor.wait()
        lines = list(map(json.loads, out.getvalue().splitlines()))
        assert {"process": "beat", "line": '三 "x"'} in lines
        assert {"process": "beat", "line": "ended"} in lines

    def test_colours_only_when_wanted(self, out: io.StringIO) -> None:
        supervisor = Supervisor([Process("a", ["echo", "x"], restart=False)], out, colour=True)
        supervisor.start()
        supervisor.wait()
        assert "\033[36ma |\033[0m x\n" in out.getvalue()

    def test_a_quiet_process_speaks_when_it_fails(self, out: io.StringIO) -> None:
        quiet = [
            Process("well", ["sh", "-c", "echo chatter"], restart=False, quiet=True),
            Process("ill", ["sh", "-c", "echo why; exit 3"], restart=False, quiet=True),
        ]
        supervisor = Supervisor(quiet, out)
        supervisor.start()
        assert supervisor.wait() == 1
        assert "chatter" not in out.getvalue()
        assert "ill  | why\nill  | ended with code 3\n" in out.getvalue()


class TestRestart:
    def test_what_dies_is_started_again_later_and_later(self, out: io.StringIO) -> None:
        with Supervisor([Process("worker", ["sh", "-c", "exit 7"])], out):
            assert eventually(lambda: "starting again in 0.2 s" in out.getvalue())
        delays = re.findall(r"ended with code 7; starting again in (\S+) s", out.getvalue())
        assert delays[:3] == ["0.05", "0.1", "0.2"]

    def test_after_a_kill(self, out: io.StringIO) -> None:
        with Supervisor([Process("worker", ["sleep", "60"])], out) as supervisor:
            first = supervisor.pids()["worker"]
            assert first is not None
            os.kill(first, signal.SIGKILL)
            assert eventually(lambda: supervisor.pids()["worker"] not in (first, None))
            assert supervisor.alive() == {"worker": True}
        assert "worker | was ended by SIGKILL; starting again in 0.05 s" in out.getvalue()

    def test_one_that_refuses_its_settings_each_time_stops_all(self, out: io.StringIO) -> None:
        two = [Process("good", ["sleep", "60"]), Process("bad", ["sh", "-c", "echo why; exit 2"])]
        supervisor = Supervisor(two, out)
        supervisor.start()
        assert supervisor.wait() == 1
        assert supervisor.refusing() == ["bad"]
        assert supervisor.starts() == {"good": 1, "bad": 3}
        assert supervisor.alive() == {"good": False, "bad": False}
        assert "bad  | ended with code 2, 3 times in a row: mend what it says" in out.getvalue()

    def test_its_own_children_are_gone_before(self, tmp_path: Path, out: io.StringIO) -> None:
        """A worker's pool must not go on beside that of the next worker."""
        file = tmp_path / "pid"
        code = f"sleep 60 & echo $! > {file}; wait"
        with Supervisor([Process("worker", ["sh", "-c", code])], out) as supervisor:
            assert eventually(lambda: file.exists() and file.read_text().strip())
            grandchild = int(file.read_text())
            os.kill(supervisor.pids()["worker"] or 0, signal.SIGKILL)
            assert eventually(lambda: gone(grandchild))

    def test_a_program_that_is_not_there(self, out: io.StringIO) -> None:
        two = [Process("good", ["sleep", "60"]), Process("bad", ["no-such-program"])]
        supervisor = Supervisor(two, out)
        with pytest.raises(SmartRagError, match="cannot start bad: there is no program no-such-program"):
            supervisor.start()
        assert supervisor.alive() == {"good": False, "bad": False}


class TestStop:
    def test_environment_and_grace(self, out: io.StringIO) -> None:
        code = "import os,signal,sys,time\n"
        code += "signal.signal(15, lambda *a: (time.sleep(.2), print('bye', os.environ['NAME']), sys.exit(0)))\n"
        code += "print('up')\nwhile True: time.sleep(1)"
        with Supervisor([Process("worker", python(code), {"NAME": "x"}, grace=5)], out):
            assert eventually(lambda: "up" in out.getvalue())
        assert out.getvalue().endswith("worker | bye x\nworker | ended\n")

    def test_kills_after_the_grace(self, out: io.StringIO) -> None:
        with Supervisor([Process("worker", python(STUBBORN), grace=0.3)], out) as supervisor:
            assert eventually(lambda: "up" in out.getvalue())
            pid = supervisor.pids()["worker"]
            begin = time.monotonic()
        assert 0.3 <= time.monotonic() - begin < 3
        assert "worker | no" in out.getvalue()
        assert "worker | was ended by SIGKILL" in out.getvalue()
        assert pid is not None and gone(pid)

    def test_what_the_others_need_goes_last(self, out: io.StringIO) -> None:
        slow = "import signal,sys,time\nsignal.signal(15, lambda *a: (time.sleep(.3), sys.exit(0)))\nprint('up')\n"
        slow += "while True: time.sleep(1)"
        both = [Process("redis", ["sleep", "60"], stop_last=True), Process("worker", python(slow))]
        with Supervisor(both, out):
            assert eventually(lambda: "up" in out.getvalue())
        ends = re.findall(r"(\w+) +\| (?:ended|was ended)", out.getvalue())
        assert ends == ["worker", "redis"]

    def test_leaves_no_process_of_its_own(self, out: io.StringIO) -> None:
        before = psutil.Process().children()
        with Supervisor([Process("worker", ["sleep", "60"])], out):
            assert len(psutil.Process().children()) == len(before) + 2  # the worker and the reaper
        assert psutil.Process().children() == before

    def test_while_it_waits_to_restart(self, out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(processes, "FIRST_DELAY", 30.0)
        with Supervisor([Process("worker", ["false"])], out):
            assert eventually(lambda: "starting again in 30 s" in out.getvalue())
            begin = time.monotonic()
        assert time.monotonic() - begin < 2


#: A supervisor in the foreground: an obedient process and a stubborn one.
FOREGROUND = f"""
import sys
from smart_rag_tasks.processes import Process, Supervisor
supervisor = Supervisor([
    Process("good", ["sleep", "60"]),
    Process("stubborn", [sys.executable, "-c", {STUBBORN!r}], grace=float(sys.argv[1])),
])
supervisor.start()
print("pids", *supervisor.pids().values(), flush=True)
sys.exit(supervisor.wait())
"""


#: The same as a context: the work is done, and what it needed is stopped.
CONTEXT = (
    FOREGROUND.split("supervisor.start()", maxsplit=1)[0]
    + """
with supervisor:
    print("pids", *supervisor.pids().values(), flush=True)
    sys.stdin.readline()
print("the result", flush=True)
"""
)


def test_ctrl_c_while_a_context_ends_hurries_and_keeps_the_result() -> None:
    command = [sys.executable, "-c", CONTEXT, "60"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    seen = [process.stdout.readline()]
    while not any("| up" in line for line in seen) or not any(line.startswith("pids") for line in seen):
        seen.append(process.stdout.readline())
    pids = [int(pid) for line in seen if line.startswith("pids") for pid in line.split()[1:]]
    process.stdin.close()
    assert eventually(lambda: gone(pids[0]))
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert "the result" in process.stdout.read()
    assert all(gone(pid) for pid in pids)


class TestForeground:
    def start(self, grace: float) -> tuple[subprocess.Popen[str], list[int]]:
        command = [sys.executable, "-c", FOREGROUND, str(grace)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert process.stdout is not None
        pids: list[int] = []
        for line in process.stdout:
            if line.startswith("pids"):
                pids = [int(pid) for pid in line.split()[1:]]
            if "| up" in line:
                break
        if not pids:
            pids = [int(pid) for pid in process.stdout.readline().split()[1:]]
        return process, pids

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_stops_all(self, number: signal.Signals) -> None:
        process, pids = self.start(grace=0.3)
        os.killpg(process.pid, number)  # as a terminal does: to the whole group
        assert process.wait(10) == 0
        assert len(pids) == 2 and all(gone(pid) for pid in pids)
        assert process.stdout is not None
        rest = process.stdout.read()
        assert "stopping, 10 s at most (Ctrl-C again: at once)" in rest
        assert "good     | was ended by SIGTERM" in rest

    def test_the_second_ctrl_c_hurries(self) -> None:
        process, pids = self.start(grace=60)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert eventually(lambda: gone(pids[0]))
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert time.monotonic() - begin < 5
        assert all(gone(pid) for pid in pids)

    def test_sigkill_leaves_nothing_behind(self) -> None:
        process, pids = self.start(grace=0.5)
        process.kill()
        process.wait()
        assert eventually(lambda: all(gone(pid) for pid in pids))
