"""The exporter as Prometheus sees it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import PASSWORD, SECRET, Desk, eventually, free_port
from prometheus_client.parser import text_string_to_metric_families

from smart_rag_tasks.instrumentation import metrics


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("exporter"))
    try:
        made.worker()
        yield made
    finally:
        made.close()


def scrape(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            text: str = answer.read().decode()
            return text
    except (urllib.error.URLError, ConnectionError):
        return ""


@pytest.fixture(scope="module")
def url(desk: Desk) -> str:
    port = free_port()
    found = f"http://127.0.0.1:{port}/metrics"
    desk.start_rag("exporter", "exporter", f"--port={port}")
    assert eventually(lambda: scrape(found)), desk.text("exporter")
    return found


def values(text: str) -> dict[tuple[str, ...], float]:
    """Samples by name and label values."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sorted(sample.labels.items(), key=lambda item: item[0] == "le")  # the bucket comes last
            found[sample.name, *(value for _, value in labels)] = sample.value
    return found


def test_every_metric_is_defined_once_with_help_and_unit() -> None:
    names = [metric.name for metric in metrics.ALL]
    assert len(names) == len(set(names)) > 25
    for metric in metrics.ALL:
        assert metric.help.endswith(".")
        assert not metric.name.endswith("_total")
        if metric.unit:
            assert f"_{metric.unit}" in metric.name


def test_buckets_are_those_that_the_store_sorts_into() -> None:
    from importlib import import_module

    assert import_module("smart_rag_tasks.store.migrations.versions.0003_tallies").BUCKETS == metrics.BUCKETS


def test_what_was_done_is_counted(desk: Desk, url: str) -> None:
    desk.submit("good.md", [f"good {number}" for number in range(20)])
    desk.submit("mixed.md", ["a", "FAIL b", "c"])
    found = eventually(lambda: (got := values(scrape(url))).get(("smart_rag_runs_ended_total", "completed")) and got)
    assert found["smart_rag_documents", "completed"] == 1
    assert found["smart_rag_documents", "completed_with_errors"] == 1
    assert found["smart_rag_chunks_total", "generated"] == 22
    assert found["smart_rag_chunks_total", "failed"] == 1
    assert found["smart_rag_chunks_waiting",] == 0
    assert found["smart_rag_runs_submitted_total", "bulk"] == 2
    assert found["smart_rag_chunk_errors_total", "ValueError"] >= 1
    assert found["smart_rag_run_duration_seconds_count", "bulk"] == 2
    assert 0 < found["smart_rag_run_duration_seconds_sum", "bulk"] < 60
    assert found["smart_rag_batch_duration_seconds_bucket", "metadata_queue", "+Inf"] >= 4
    assert found["smart_rag_queue_consumers", "metadata_queue"] == 1
    assert found["smart_rag_workers",] == 1
    assert found["smart_rag_up", "store"] == found["smart_rag_up", "broker"] == found["smart_rag_up", "workers"] == 1
    assert next(value for (name, *_), value in found.items() if name == "smart_rag_worker_memory_bytes") > 1e7


def test_buckets_grow(desk: Desk, url: str) -> None:
    text = scrape(url)
    for family in text_string_to_metric_families(text):
        if family.type == "histogram":
            counts = [sample.value for sample in family.samples if sample.name.endswith("_bucket")]
            assert counts == sorted(counts)


def test_no_text_and_no_secret_is_told(desk: Desk, url: str) -> None:
    text = scrape(url) + desk.text("exporter")
    assert SECRET not in text
    assert PASSWORD not in text


def test_prometheus_understands_it(url: str) -> None:
    """By its own parser, and by promtool (Debian's package prometheus) where that is installed."""
    text = scrape(url)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for metric in metrics.ALL:
        if metric.name in families:
            assert families[metric.name].type == metric.kind
            assert families[metric.name].documentation.startswith(metric.help)
    assert len(families) > 15
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_work_in_hand_is_seen(desk: Desk, url: str) -> None:
    desk.submit("slow.md", [f"WAIT 0.3 slow {number}" for number in range(40)], wait=False)
    found = eventually(lambda: (got := values(scrape(url))).get(("smart_rag_leases", "held")) and got)
    assert found["smart_rag_documents", "running"] == 1
    assert found["smart_rag_chunks_waiting",] > 0
    assert (
        found["smart_rag_queue_waiting", "metadata_queue"] + found["smart_rag_queue_unacknowledged", "metadata_queue"]
    )
    assert eventually(lambda: values(scrape(url))["smart_rag_chunks_waiting",] == 0)


def test_a_taken_port_is_one_line(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = desk.rag("exporter", f"--port={taken.getsockname()[1]}", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "choose another port" in done.stderr


def test_a_part_that_is_away_is_told_and_costs_no_other(desk: Desk, url: str) -> None:
    desk.redis.stop()
    found = eventually(lambda: (got := values(scrape(url))).get(("smart_rag_up", "broker")) == 0 and got)
    assert found["smart_rag_up", "store"] == 1
    assert found["smart_rag_up", "workers"] == 0
    assert found["smart_rag_documents", "completed"] >= 1
    desk.redis.start()
    assert eventually(lambda: values(scrape(url)).get(("smart_rag_up", "broker")) == 1)
    exporter = desk.processes["exporter"]
    exporter.send_signal(signal.SIGTERM)
    assert exporter.wait(10) == 0


def test_the_dashboard_shows_metrics_that_exist() -> None:
    board = json.loads((Path(__file__).parents[2] / "deploy" / "grafana" / "smart_rag_tasks.json").read_text())
    shown = {
        name
        for panel in board["panels"]
        for target in panel.get("targets", ())
        for name in re.findall(r"smart_rag_\w+", target["expr"])
    }
    told = {suffix for metric in metrics.ALL for suffix in series(metric)}
    assert shown <= told, shown - told
    assert len(shown) > 15


def series(metric: metrics.Metric) -> set[str]:
    """The names of a metric's samples."""
    endings = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {metric.name + ending for ending in endings[metric.kind]}
