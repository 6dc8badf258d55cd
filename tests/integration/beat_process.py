"""A real beat in a process of its own, for tests: short lock and loop times, its log in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from stack import Stack, wait_until

#: What a test's configuration module begins with.
QUICK = """
from smart_rag_tasks.celeryconfig import *
beat_max_loop_interval = 1
redbeat_lock_timeout = 4
"""


class Beat:
    """One beat process."""

    def __init__(self, stack: Stack, name: str, config: str = "") -> None:
        self.log = stack.home / f"{name}.log"
        (stack.home / "quick_beat_config.py").write_text(QUICK + config)
        env = os.environ | stack.env | {"CELERY_CONFIG_MODULE": "quick_beat_config"}
        env["PYTHONPATH"] = f"{stack.home}{os.pathsep}{stack.env['PYTHONPATH']}"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "smart_rag_tasks", "beat", "-l", "INFO"],
                env=env,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=stack.home,
            )

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def waits_for(self, words: str, count: int = 1, timeout: float = 20.0) -> None:
        """Until its log has said something ``count`` times."""
        wait_until(
            lambda: self.text().count(words) >= count, timeout=timeout, what=f"{words!r} in {self.text()[-2000:]}"
        )

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)
