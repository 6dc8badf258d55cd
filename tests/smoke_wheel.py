"""Builds the wheel, installs it into a fresh environment, and runs the main job from another folder.

Not collected by pytest: `.ci/run` calls it. Locked packages come from this checkout's requirements.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(*words: str, cwd: Path) -> str:
    """The command's output; its errors are shown when it fails."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}\n{done.stderr}")
    return done.stdout


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
        print(f"{wheel.name}: {len(records)} documents completed from the wheel")


if __name__ == "__main__":
    main()
