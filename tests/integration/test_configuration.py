"""Which ``celeryconfig`` holds, in the four places where it can lie."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

SHOW = "from smart_rag_tasks import app; print(app.conf.worker_prefetch_multiplier, app.conf.task_acks_late, {})"


def show(python: str, what: str, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [python, "-c", SHOW.format(what)],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if not name.startswith("CELERY")} | env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_in_a_checkout_it_lies_beside_the_package(tmp_path: Path) -> None:
    where = "__import__('sys').modules['smart_rag_tasks.celeryconfig'].__file__"
    assert f"1 True {ROOT / 'celeryconfig.py'}" == show(sys.executable, where, tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Python of an environment with the wheel in it; the packages it needs are this environment's."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps"]
    subprocess.run([*build, "--no-build-isolation", "-w", str(folder), str(ROOT)], check=True, timeout=120)
    venv.create(folder / "env", with_pip=True)
    python = folder / "env/bin/python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps"]
    subprocess.run([*pip, str(next(folder.glob("*.whl")))], check=True, timeout=120)
    site = next((folder / "env/lib").glob("python*/site-packages"))
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "borrowed.pth").write_text(ours + "\n", encoding="utf-8")
    yield str(python)


def test_in_a_wheel_elsewhere_it_is_in_the_package(installed: str, tmp_path: Path) -> None:
    where = "__import__('sys').modules['smart_rag_tasks.celeryconfig'].__file__"
    shown = show(installed, where, tmp_path)
    assert shown.startswith("1 True ")
    assert "site-packages/smart_rag_tasks/celeryconfig.py" in shown


def test_an_application_with_a_celeryconfig_of_its_own_keeps_it_and_we_keep_ours(tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text("worker_prefetch_multiplier = 99\n", encoding="utf-8")
    what = "__import__('celeryconfig').worker_prefetch_multiplier"

    assert "1 True 99" == show(sys.executable, what, tmp_path, PYTHONPATH=str(tmp_path))


def test_celery_config_module_is_taken(tmp_path: Path) -> None:
    text = "from smart_rag_tasks.celeryconfig import *\nresult_expires = 4321\n"
    (tmp_path / "my_settings.py").write_text(text, encoding="utf-8")

    shown = show(
        sys.executable,
        "app.conf.result_expires",
        tmp_path,
        PYTHONPATH=str(tmp_path),
        CELERY_CONFIG_MODULE="my_settings",
    )
    assert "1 True 4321" == shown


def test_the_environments_broker_url_does_not_split_the_application(tmp_path: Path) -> None:
    what = "app.conf.broker_url, app.conf.result_backend"
    shown = show(sys.executable, what, tmp_path, REDIS_URL="redis://one:1/0", CELERY_BROKER_URL="redis://two:2/0")
    assert "1 True redis://two:2/0 redis://one:1/0" == shown
