"""Clusters of our image through pytest-celery: Redis as broker, another as result backend, workers. No engine: skipped.

The workers are contained as in docker-compose.yml. They share a folder with the store and the ledger, which the tests
read; what the tests submit goes through the broker, as from a producer without the store.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from celery import Celery
from docker.errors import DockerException
from pytest_celery import (
    CeleryBackendCluster,
    CeleryBrokerCluster,
    CeleryTestSetup,
    CeleryTestWorker,
    CeleryWorkerCluster,
    CeleryWorkerContainer,
    RedisContainer,
    RedisTestBackend,
    RedisTestBroker,
    defaults,
)
from pytest_docker_tools import container, fxtr

from smart_rag_tasks import names
from smart_rag_tasks.client import Client
from smart_rag_tasks.configuration import configuration
from smart_rag_tasks.settings import load
from smart_rag_tasks.store import open_store

ROOT = Path(__file__).parents[2]
IMAGE, NEXT = "smart-rag-tasks:test", "smart-rag-tasks:test-next"
HERE = Path(__file__).parent

#: Of work a chunk: long enough to do harm in mid-run.
SECONDS = 0.02

USER = 10001

#: As in docker-compose.yml.
CONTAINED: dict[str, Any] = {
    "user": f"{USER}:{USER}",
    "read_only": True,
    "tmpfs": {"/tmp": "exec,mode=1777,size=256m"},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "init": True,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starting containers takes its time, the first image even more."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """Skips all tests here where no Docker engine answers."""
    try:
        docker.from_env().ping()
    except DockerException as error:
        pytest.skip(f"no Docker engine: {error}")


@pytest.fixture(scope="session")
def images(engine: None) -> tuple[str, str]:
    """Our image, and the same with another tag and another content: the next release."""
    build("-t", IMAGE, str(ROOT))
    build("-t", NEXT, "-", text=f"FROM {IMAGE}\nENV SMART_RAG_RELEASE=next\n")
    return IMAGE, NEXT


def build(*words: str, text: str | None = None) -> None:
    """`docker build`, its output shown when it fails."""
    done = subprocess.run(["docker", "build", *words], input=text, capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout[-3000:] + done.stderr[-3000:]


# -- the shared folder


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder with an empty ledger and an empty store, all the containers' user's."""
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "ledger").touch()
    open_store(f"sqlite:///{folder}/store.db").close()
    for path in (folder, *folder.iterdir()):
        os.chown(path, USER, USER)
    return folder


@pytest.fixture
def ledger(shared: Path) -> Path:
    """What was generated, line by line."""
    return shared / "ledger"


@pytest.fixture
def store(shared: Path) -> Client:
    """The store, seen from outside the containers."""
    return Client(load(store=f"sqlite:///{shared}/store.db"))


# -- Redis


class Redis(RedisContainer):
    """Redis as a cluster of ours has it; reached where pytest-docker-tools says, not at `localhost`."""

    @classmethod
    def image(cls) -> str:
        return "redis:7-bookworm"

    @property
    def host_url(self) -> str:
        host, port = self.get_addr("6379/tcp")
        return f"{self.prefix()}{host}:{port}/{self.vhost}"


@pytest.fixture
def default_redis_broker_cls() -> type[RedisContainer]:
    return Redis


@pytest.fixture
def default_redis_backend_cls() -> type[RedisContainer]:
    return Redis


def redis_container(part: str) -> Any:
    """pytest-celery's own fixture, with our class."""
    return container(
        image=f"{{default_redis_{part}_image}}",
        ports=fxtr(f"default_redis_{part}_ports"),
        environment=fxtr(f"default_redis_{part}_env"),
        network="{default_pytest_celery_network.name}",
        wrapper_class=Redis,
        timeout=defaults.CONTAINER_TIMEOUT,
        command=fxtr(f"default_redis_{part}_command"),
    )


default_redis_broker = redis_container("broker")
default_redis_backend = redis_container("backend")


@pytest.fixture
def celery_broker_cluster(celery_redis_broker: RedisTestBroker) -> Iterator[CeleryBrokerCluster]:
    cluster = CeleryBrokerCluster(celery_redis_broker)
    yield cluster
    cluster.teardown()


@pytest.fixture
def celery_backend_cluster(celery_redis_backend: RedisTestBackend) -> Iterator[CeleryBackendCluster]:
    cluster = CeleryBackendCluster(celery_redis_backend)
    yield cluster
    cluster.teardown()


# -- workers


class RagWorker(CeleryWorkerContainer):
    """A worker of our image, started as docker-compose.yml starts it."""

    @classmethod
    def worker_name(cls) -> str:
        return "worker"

    @classmethod
    def worker_queue(cls) -> str:
        return ",".join(names.QUEUES)

    @classmethod
    def command(cls, *args: str, **kwargs: Any) -> list[str]:
        words = super().command("--without-gossip", "--without-mingle", *args)
        words[words.index("app")] = "smart_rag_tasks"
        return words


@pytest.fixture
def default_worker_container_cls() -> type[CeleryWorkerContainer]:
    return RagWorker


@pytest.fixture(scope="session")
def default_worker_container_session_cls() -> type[CeleryWorkerContainer]:
    return RagWorker


@pytest.fixture
def default_worker_env(celery_worker_cluster_config: dict[str, Any]) -> dict[str, str]:
    """A generator that keeps a ledger, and shorter waits than a user has: the same code, sooner."""
    urls = RagWorker.initial_env(celery_worker_cluster_config)
    return urls | {
        "SMART_RAG_HOME": "/shared",
        "SMART_RAG_STORE_URL": "sqlite:////shared/store.db",
        "PYTHONPATH": "/tests",
        "SMART_RAG_GENERATOR": "testing_generators:LedgerGenerator",
        "SMART_RAG_GENERATOR_OPTIONS": json.dumps({"ledger": "/shared/ledger", "seconds": SECONDS}),
        "WORKER_CONCURRENCY": "2",
        "SMART_RAG_SWEEP_SECONDS": "1",
        "SMART_RAG_LOST_AFTER": "3",
    }


@pytest.fixture
def worker_volumes(shared: Path) -> dict[str, dict[str, str]]:
    """The shared folder, and the tests' generator."""
    return {
        str(shared): {"bind": "/shared", "mode": "rw"},
        str(ROOT / "tests/testing_generators.py"): {"bind": "/tests/testing_generators.py", "mode": "ro"},
    }


def worker_container(image: str) -> Any:
    """A fixture that starts a worker container and waits until it is ready."""
    return container(
        image=image,
        environment=fxtr("default_worker_env"),
        network="{default_pytest_celery_network.name}",
        volumes=fxtr("worker_volumes"),
        wrapper_class=RagWorker,
        timeout=defaults.CONTAINER_TIMEOUT,
        command=fxtr("default_worker_command"),
        **CONTAINED,
    )


default_worker_container = worker_container("{images[0]}")
second_container = worker_container("{images[0]}")
next_container = worker_container("{images[1]}")


@pytest.fixture
def celery_worker_cluster(celery_worker: CeleryTestWorker) -> Iterator[CeleryWorkerCluster]:
    cluster = CeleryWorkerCluster(celery_worker)
    yield cluster
    cluster.teardown()


# -- the producer


class Setup(CeleryTestSetup):
    """The producer's application has our configuration: the routes, above all."""

    @classmethod
    def create_setup_app(cls, celery_setup_config: dict[str, Any], celery_setup_app_name: str) -> Celery:
        app = Celery("smart_rag_tasks")
        app.config_from_object(configuration())
        app.conf.update(celery_setup_config)
        return app


@pytest.fixture
def celery_setup_cls() -> type[CeleryTestSetup]:
    return Setup


@pytest.fixture
def submit(celery_setup: CeleryTestSetup) -> Callable[[str, int], Any]:
    """Submit a document of so many chunks by the task's name; its result."""

    def send(document_id: str, count: int) -> Any:
        chunks = [{"chunk_id": f"c{number}", "text": f"Chunk number {number}."} for number in range(count)]
        return celery_setup.app.send_task(names.PROCESS_DOCUMENT_PIPELINE, args=[document_id, chunks])

    return send
