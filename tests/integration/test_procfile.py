"""The Procfile under honcho: a document goes through; and what honcho does when one process ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from stack import wait_until

ROOT = Path(__file__).parents[2]
#: Names of the Procfile's processes.
NAMES = ("redis", "worker", "priority", "beat", "flower", "exporter")


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Ports and a home folder of our own."""
    return {
        "REDIS_URL": f"redis://:only-for-the-test@127.0.0.1:{free_port()}/0",
        "SMART_RAG_HOME": str(tmp_path / "home"),
        "FLOWER_PORT": str(free_port()),
        "SMART_RAG_EXPORTER_PORT": str(free_port()),
        "WORKER_CONCURRENCY": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


@pytest.fixture
def honcho(env: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`honcho start` with the Procfile as it is; its log is ``honcho.log``."""
    words = ["honcho", "--no-colour", "--procfile", str(ROOT / "Procfile"), "--app-root", str(tmp_path), "start"]
    with (tmp_path / "honcho.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], env=os.environ | env, cwd=tmp_path, stdout=log, stderr=log
        )
    yield process
    left = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    process.wait(30)
    psutil.wait_procs(left, timeout=10)


def test_a_document_goes_through_and_when_one_process_ends_all_end(
    honcho: subprocess.Popen[bytes], env: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "honcho.log"
    wait_until(lambda: log.read_text().count(" ready.") == 2, timeout=60, what=f"both workers, see {log}")
    wait_until(lambda: "metrics at" in log.read_text(), timeout=30, what="the exporter")
    program = [sys.executable, "-c", "from smart_rag_tasks.cli import main; main()"]
    (tmp_path / "tea.txt").write_text("Tea is grown on slopes.")
    submitted = [*program, "submit", "--wait", str(tmp_path / "tea.txt")]
    assert 0 == subprocess.run(submitted, env=os.environ | env, timeout=60).returncode
    children = psutil.Process(honcho.pid).children(recursive=True)

    (exporter,) = [each for each in children if each.cmdline()[-1:] == ["exporter"]]
    exporter.send_signal(signal.SIGKILL)

    honcho.wait(30)
    assert not psutil.wait_procs(children, timeout=10)[1]
    for name in NAMES:
        assert f"{name}.1 stopped" in log.read_text(), name
