"""docker-compose.yml, unchanged: up, documents from outside and inside, Flower behind its password, down."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from stack import chunks_of, wait_until

from smart_rag_tasks import names
from smart_rag_tasks.configuration import configuration

ROOT = Path(__file__).parents[2]
SERVICES = {"redis", "worker", "priority-worker", "beat", "flower", "exporter"}


class Compose:
    """A project of its own name, ports and secrets."""

    def __init__(self) -> None:
        self.name = f"smart-rag-test-{os.getpid()}"
        self.secrets = {
            "REDIS_PASSWORD": secrets.token_hex(12),
            "POSTGRES_PASSWORD": secrets.token_hex(12),
            "FLOWER_BASIC_AUTH": f"desk:{secrets.token_hex(12)}",
        }
        self.ports = {name: free_port() for name in ("REDIS_PORT", "FLOWER_PORT", "SMART_RAG_EXPORTER_PORT")}
        #: In place of a .env of the developer's.
        self._no_env = tempfile.NamedTemporaryFile(suffix=".env")  # noqa: SIM115  # lives as long as this does
        #: Seconds from `up` to the first finished document.
        self.first_document = 0.0

    def run(self, *words: str, without: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """`docker-compose` (or `docker compose`) with our project."""
        program = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
        env = os.environ | self.secrets | {name: str(port) for name, port in self.ports.items()}
        env.pop(without, None)
        words = ("--project-name", self.name, "--env-file", self._no_env.name, *words)
        done = subprocess.run([*program, *words], cwd=ROOT, env=env, capture_output=True, text=True)
        assert not check or 0 == done.returncode, done.stdout[-2000:] + done.stderr[-2000:]
        return done

    def inspect(self) -> dict[str, dict[str, Any]]:
        """Each service's container as the engine describes it."""
        label = f"label=com.docker.compose.project={self.name}"
        ids = subprocess.run(["docker", "ps", "-aq", "--filter", label], capture_output=True, text=True).stdout.split()
        if not ids:
            return {}
        found = json.loads(subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True).stdout)
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}

    def app(self) -> Celery:
        """The producer's application outside: it reaches Redis through the port published on loopback."""
        app = Celery("smart_rag_tasks")
        app.config_from_object(configuration())
        url = f"redis://:{self.secrets['REDIS_PASSWORD']}@127.0.0.1:{self.ports['REDIS_PORT']}/0"
        app.conf.update(broker_url=url, result_backend=url)
        return app

    def get(self, port: str, path: str, login: str = "") -> tuple[int, str]:
        """Status and body of a page on loopback."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[port]}{path}")
        if login:
            request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return 0, ""


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def compose(engine: None) -> Iterator[Compose]:
    """The system, up, and its first document done."""
    project = Compose()
    project.run("build", "--quiet")
    begin = time.monotonic()
    try:
        project.run("up", "-d")
        result = project.app().send_task(names.PROCESS_DOCUMENT_PIPELINE, args=["first", chunks_of("Tea is grown.")])
        assert "completed" == result.get(timeout=120)["final_status"]
        project.first_document = time.monotonic() - begin
        print(f"\nup to first finished document: {project.first_document:.1f} s")
        yield project
    finally:
        project.run("down", "--volumes", "--timeout", "5", check=False)
    assert {} == project.inspect()


@pytest.mark.parametrize("secret", ["REDIS_PASSWORD", "POSTGRES_PASSWORD", "FLOWER_BASIC_AUTH"])
def test_without_a_secret_nothing_starts(engine: None, secret: str) -> None:
    project = Compose()

    done = project.run("up", "-d", without=secret, check=False)

    assert 0 != done.returncode
    assert f"set {secret}" in done.stdout + done.stderr
    assert {} == project.inspect()


def test_files_are_submitted_inside_and_all_are_done(compose: Compose) -> None:
    done = compose.run("exec", "-T", "worker", "smart-rag-tasks", "submit", "--wait", "--json", "/documents")

    records = json.loads(done.stdout)
    assert len(list((ROOT / "examples/documents").iterdir())) == len(records)
    assert not [record for record in records if "error" in record]
    listed = json.loads(compose.run("exec", "-T", "worker", "smart-rag-tasks", "list", "--json").stdout)
    assert {"completed"} == {each["status"] for each in listed}


def test_flower_asks_for_the_password(compose: Compose) -> None:
    def workers() -> Any:
        status, body = compose.get("FLOWER_PORT", "/api/workers?refresh=1", compose.secrets["FLOWER_BASIC_AUTH"])
        return status == 200 and json.loads(body)

    assert 401 == compose.get("FLOWER_PORT", "/api/workers")[0]
    assert 401 == compose.get("FLOWER_PORT", "/metrics")[0]
    assert 401 == compose.get("FLOWER_PORT", "/api/workers", "desk:wrong")[0]
    found = wait_until(lambda: len(workers() or ()) == 2 and workers(), timeout=60, what="both workers in Flower")
    assert ["priority", "worker"] == sorted(name.partition("@")[0] for name in found)


def test_the_exporter_counts_what_was_done(compose: Compose) -> None:
    status, body = compose.get("SMART_RAG_EXPORTER_PORT", "/metrics")

    assert 200 == status
    assert "smart_rag_workers 2.0" in body


def test_every_container_becomes_healthy(compose: Compose) -> None:
    def healthy() -> set[str]:
        return {name for name, each in compose.inspect().items() if each["State"]["Health"]["Status"] == "healthy"}

    wait_until(lambda: healthy() == SERVICES, timeout=120, what="health of all")


def test_containers_may_do_no_more_than_they_must(compose: Compose) -> None:
    for name, each in compose.inspect().items():
        ids = compose.run("exec", "-T", name, "sh", "-c", "id -u; grep CapEff /proc/self/status").stdout.split()
        assert ["10001", "CapEff:", "0" * 16] == ids, name
        assert 0 != compose.run("exec", "-T", name, "touch", "/usr/hello", check=False).returncode, name
        bound = [host["HostIp"] for hosts in each["NetworkSettings"]["Ports"].values() for host in hosts or ()]
        assert set(bound) <= {"127.0.0.1"}, name
    environment = compose.inspect()["worker"]["Config"]["Env"]
    assert "REMAP_SIGTERM=SIGQUIT" in environment


def test_a_worker_stops_at_once_when_idle_and_comes_back(compose: Compose) -> None:
    begin = time.monotonic()
    compose.run("stop", "worker")
    assert time.monotonic() - begin < 20
    assert 0 == compose.inspect()["worker"]["State"]["ExitCode"]

    result = compose.app().send_task(names.PROCESS_DOCUMENT_PIPELINE, args=["waits", chunks_of("Tea.")])
    compose.run("start", "worker")
    assert "completed" == result.get(timeout=60)["final_status"]


def test_redis_keeps_what_waits_over_a_restart(compose: Compose) -> None:
    compose.run("stop", "worker")
    result = compose.app().send_task(names.PROCESS_DOCUMENT_PIPELINE, args=["kept", chunks_of("Tea.")])
    compose.run("restart", "redis")
    compose.run("start", "worker")

    def status() -> str:
        words = ("exec", "-T", "worker", "smart-rag-tasks", "status", "kept", "--json")
        return compose.run(*words, check=False).stdout

    wait_until(lambda: '"completed"' in status(), timeout=60, what=f"the document of {result.id}")
