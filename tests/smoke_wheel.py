"""Builds the wheel, installs it into a fresh environment, and runs the main job and Flower from another folder.

Not collected by pytest: `.ci/run` calls it. Locked packages come from this checkout's requirements.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(*words: str, cwd: Path) -> str:
    """The command's output; its errors are shown when it fails."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def flower_asks_who_you_are(python: str, folder: Path) -> None:
    """Flower looks for its settings in the current folder only, and else starts wide open; ours are in the package."""
    port, redis_port = free_port(), free_port()
    env = os.environ | {"REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}
    command = [python, "-m", "celery", "-A", "smart_rag_tasks", "flower", f"--port={port}"]
    beyond = [*command, "--address=0.0.0.0"]
    refused = subprocess.run(beyond, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert refused.returncode, "Flower without credentials listens beyond loopback"
    assert "FLOWER_BASIC_AUTH" in refused.stderr, refused.stderr  # and not for want of Redis
    env["FLOWER_BASIC_AUTH"] = "operator:of-the-smoke-test"
    redis = subprocess.Popen([python, "-m", "smart_rag_tasks", "redis"], cwd=folder, env=env, stdout=subprocess.DEVNULL)
    flower = subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.DEVNULL)
    try:
        status = asked(f"http://127.0.0.1:{port}/workers")
        assert status == 401, status
    finally:
        for process in (flower, redis):
            process.terminate()
            process.wait(20)


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def asked(url: str) -> int:
    """The status without credentials, as soon as somebody answers."""
    for _ in range(120):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            time.sleep(0.25)
    return 0


def main() -> None:
    """Exit code 0 if the wheel does the main job."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", name, str(ROOT), cwd=folder)
        venv.create(folder / "env", with_pip=True)
        python = str(folder / "env/bin/python")
        requirements = str(ROOT / "requirements/run.txt")
        run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", requirements, cwd=folder)
        wheel = next(folder.glob("*.whl"))
        run(python, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel), cwd=folder)
        program = str(folder / "env/bin/smart-rag-tasks")
        records = json.loads(run(program, "run", "--json", str(ROOT / "examples/documents"), cwd=folder))
        statuses = {record["status"] for record in records}
        assert statuses == {"completed"}, records
        where = run(python, "-c", "import smart_rag_tasks.celeryconfig as c; print(c.__file__)", cwd=folder)
        assert "site-packages" in where, where
        flower_asks_who_you_are(python, folder)
        print(f"{wheel.name}: {len(records)} documents completed from the wheel; its Flower asks who you are")


if __name__ == "__main__":
    main()
