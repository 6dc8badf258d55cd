"""Procfile, docker-compose.yml, Dockerfile and our own launchers start the same processes in the same way."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from honcho.environ import parse_procfile

from smart_rag_tasks import names
from smart_rag_tasks.cli import COMMANDS, launch
from smart_rag_tasks.settings import load

ROOT = Path(__file__).parents[2]
PROCFILE: dict[str, str] = dict(parse_procfile((ROOT / "Procfile").read_text()).processes)
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
BY_DEFAULT = {name for name, service in SERVICES.items() if "profiles" not in service}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def option(words: list[str], name: str) -> str:
    """The value of ``--name=value`` or ``--name value``; "" if it is not there."""
    for number, word in enumerate(words):
        if word == name:
            return words[number + 1]
        if word.startswith(name + "="):
            return word.partition("=")[2]
    return ""


def workers(commands: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """The queues of each Celery worker, in their order."""
    found = {name: words for name, words in commands.items() if "celery" in words and "worker" in words}
    return {name: tuple(option(words, "--queues").split(",")) for name, words in found.items()}


FILES = {
    "Procfile": {name: shlex.split(line) for name, line in PROCFILE.items()},
    "docker-compose.yml": {name: list(service.get("command", ())) for name, service in SERVICES.items()},
    "up": {
        each.name: ["celery", *each.argv[each.argv.index("-A") :]]  # after Python's own words
        for each in (
            launch.worker(load()),
            launch.worker(load(), name="priority", queues=names.RESERVED_QUEUES, concurrency=1),
        )
    },
}


# -- queues, routes, tasks


@pytest.mark.parametrize("file", FILES)
def test_every_queue_has_a_worker_and_no_queue_is_made_up(file: str) -> None:
    served = workers(FILES[file])

    assert set(names.QUEUES) == {queue for queues in served.values() for queue in queues}


@pytest.mark.parametrize("file", FILES)
def test_workers_serve_their_queues_in_the_order_of_their_urgency(file: str) -> None:
    for name, queues in workers(FILES[file]).items():
        assert [queue for queue in names.QUEUES if queue in queues] == list(queues), name


@pytest.mark.parametrize("file", FILES)
def test_a_worker_is_reserved_for_people_who_wait(file: str) -> None:
    assert names.RESERVED_QUEUES in workers(FILES[file]).values()


@pytest.mark.parametrize("file", FILES)
def test_workers_are_started_with_the_same_flags(file: str) -> None:
    for name in workers(FILES[file]):
        words = FILES[file][name]
        assert {"--without-gossip", "--without-mingle"} <= set(words), name
        assert option(words, "--hostname").endswith("@%h"), name
        assert not {"--pool", "-P", "-c", "--prefetch-multiplier"} & set(words), name


def test_every_task_has_a_route_to_a_queue_that_is_served() -> None:
    from smart_rag_tasks.celery import app

    app.loader.import_default_modules()
    tasks = {name for name, task in app.tasks.items() if task.__module__.startswith("smart_rag_tasks.")}

    assert tasks <= set(app.conf.task_routes)
    assert set(names.TASK_QUEUES) == tasks - set(names.ALIASES)
    assert {route["queue"] for route in app.conf.task_routes.values()} <= set(names.QUEUES)
    assert list(names.QUEUES) == [queue.name for queue in app.conf.task_queues]


# -- the same processes everywhere


def test_procfile_and_compose_start_the_same_processes() -> None:
    assert {"redis", "worker", "priority", "beat", "flower", "exporter"} == set(PROCFILE)
    assert {name.removesuffix("-worker") for name in BY_DEFAULT} == set(PROCFILE)
    assert {"postgres", "rq-worker", "prometheus"} == set(SERVICES) - BY_DEFAULT


@pytest.mark.parametrize("file", ["Procfile", "docker-compose.yml"])
def test_our_own_commands_exist(file: str) -> None:
    for words in FILES[file].values():
        if "smart-rag-tasks" in words:
            assert words[words.index("smart-rag-tasks") + 1] in COMMANDS


# -- soft shutdown


def test_grace_periods_are_the_soft_shutdown_and_five_seconds() -> None:
    soft = float(COMPOSE["x-environment"]["SMART_RAG_SOFT_SHUTDOWN"])

    assert load().soft_shutdown == soft
    assert 5 == launch.EXTRA_GRACE
    for name, service in SERVICES.items():
        if "smart-rag-tasks:" in service.get("image", ""):
            assert f"{soft + 5:g}s" == service["stop_grace_period"], name
    assert soft + 5 == launch.worker(load()).grace


def test_sigterm_is_remapped_in_the_environment_of_every_worker() -> None:
    assert "REMAP_SIGTERM=SIGQUIT" in DOCKERFILE
    assert {"REMAP_SIGTERM": "SIGQUIT"} == launch.worker(load()).env
    for name in workers(FILES["Procfile"]):
        assert "REMAP_SIGTERM=SIGQUIT" in FILES["Procfile"][name]
    for name in workers(FILES["docker-compose.yml"]):
        assert "SIGQUIT" == SERVICES[name]["environment"]["REMAP_SIGTERM"]


# -- what containers may do


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_contained(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert ["ALL"] == service["cap_drop"]
    assert ["no-new-privileges:true"] == service["security_opt"]
    assert "unless-stopped" == service["restart"]
    assert service["healthcheck"]["test"]
    if name != "postgres":  # its entry point becomes the user `postgres` by itself
        assert service["user"] == "10001:10001"
        assert "cap_add" not in service


def test_nothing_is_published_but_on_loopback() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("network_mode" in service for service in SERVICES.values())


def test_the_file_is_for_compose_1_29_and_for_2() -> None:
    assert not {"name", "version", "include"} & set(COMPOSE)


def test_secrets_come_from_the_environment_and_have_no_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()

    for secret in ("REDIS_PASSWORD", "POSTGRES_PASSWORD", "FLOWER_BASIC_AUTH"):
        uses = re.findall(r"\$\{" + secret + r"(.*?)\}", text)
        assert uses, secret
        assert all(use.startswith(f":?set {secret}") for use in uses), secret


def test_the_images_run_as_a_user() -> None:
    for path in ("Dockerfile", "deploy/redis/Dockerfile", "deploy/prometheus/Dockerfile"):
        last = [line for line in (ROOT / path).read_text().splitlines() if line.startswith("USER ")][-1]
        assert "USER 10001:10001" == last, path


# -- what is in the image


def pins(path: str) -> set[str]:
    """``name==version`` of every locked package, with its marker."""
    text = (ROOT / "requirements" / path).read_text()
    return set(re.findall(r"^(\S+==[^\\\n]*?)\s*\\?$", text, re.MULTILINE))


def test_the_image_has_the_versions_that_were_tested() -> None:
    tested = {pin.partition(" ;")[0] for pin in pins("dev.txt")}

    for path in ("run.txt", "image.txt", "build.txt"):
        assert {pin.partition(" ;")[0] for pin in pins(path)} <= tested, path


def test_the_image_installs_nothing_that_is_not_locked() -> None:
    installs = re.findall(r"pip\S* .*?install (.*)", DOCKERFILE)

    assert 3 == len(installs)
    assert all("--require-hashes" in words or "--no-index" in words for words in installs)


def test_prometheus_gets_the_rules_that_the_alerts_have() -> None:
    from click.testing import CliRunner

    from smart_rag_tasks.cli import rag

    exported = CliRunner().invoke(rag, ["alerts", "export"]).output

    assert exported == (ROOT / "deploy/prometheus/rules/alerts.yml").read_text(), (
        "run: smart-rag-tasks alerts export > deploy/prometheus/rules/alerts.yml"
    )
