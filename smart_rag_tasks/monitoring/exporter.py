"""The Prometheus exporter: a process that gathers the metrics anew for each scrape. No state of its own."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from threading import Thread
from typing import Any, Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family

from ..errors import InvalidSettings, SmartRagError, words_of
from ..instrumentation import metrics
from ..instrumentation.metrics import BUCKETS, Metric
from . import alerts
from .checks import Subject
from .flower_access import is_loopback
from .samples import Samples, gather

logger = logging.getLogger(__name__)

#: Seconds that an answer serves further scrapes: two that come at once ask the workers once.
FRESH: Final = 1.0

_HELP_UNITS: Final = {"": ""} | {unit: f" In {unit}." for unit in ("seconds", "bytes")}


class Collector:
    """What `prometheus_client` asks at each scrape."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._lock = threading.Lock()
        self._found = Samples(0.0)

    def collect(self) -> Iterator[Family]:
        """All metrics; those of a part that does not answer are left out, and ``smart_rag_up`` says so."""
        with self._lock:
            if time.time() - self._found.at > FRESH:
                self._found = gather(self.subject)
                for part, problem in self._found.problems.items():
                    logger.warning("scrape: %s: %s", part, problem)
            found = self._found
        for metric in metrics.ALL:
            values = found.of(metric)
            if values:
                yield _family(metric, values)

    def describe(self) -> list[Family]:
        """Nothing: registering must not ask anybody."""
        return []


def _family(metric: Metric, values: dict[tuple[str, ...], float]) -> Family:
    text = metric.help + _HELP_UNITS[metric.unit]
    if metric.kind == "histogram":
        return _histogram(metric, text, values)
    kind: Any = GaugeMetricFamily if metric.kind == "gauge" else CounterMetricFamily
    family: Family = kind(metric.name, text, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(list(labels), value)  # type: ignore[attr-defined]  # of all families that we make
    return family


def _histogram(metric: Metric, text: str, values: dict[tuple[str, ...], float]) -> Family:
    """From ``label|bucket`` and ``label|sum``; Prometheus' buckets hold all that is shorter, ours only their own."""
    own: dict[str, dict[str, float]] = defaultdict(dict)
    for (name,), value in values.items():
        label, _, bucket = name.rpartition("|")
        own[label][bucket] = value
    family = HistogramMetricFamily(metric.name, text, labels=metric.labels)
    for label, found in own.items():
        total, buckets = 0.0, []
        for limit in (*(str(each) for each in BUCKETS), "+Inf"):
            total += found.get(limit, 0.0)
            buckets.append((limit, total))
        family.add_metric([label], buckets, found.get("sum", 0.0))
    return family


def evaluate_alerts(subject: Subject, every: float, stopped: threading.Event) -> None:
    """Evaluate the alert rules until ``stopped``: also when no worker is left that could do it."""
    while not stopped.is_set():
        try:
            with closing(Subject(subject.app, subject.settings, subject.timeout)) as anew:
                alerts.evaluate(anew, interval=every)
        except SmartRagError as error:
            logger.warning("alerts: %s", error)
        except Exception as error:  # nobody would start this thread again
            logger.error("alerts: %s", words_of(error))  # noqa: TRY400
        stopped.wait(every)


def serve(subject: Subject, address: str, port: int, alerts_every: float = 0.0) -> None:
    """Answer scrapes until SIGTERM or Ctrl-C, and evaluate the alert rules every so many seconds (0: never).

    Raises InvalidSettings when the port cannot be had, or when alerts are set wrong.
    """
    alerts.check(subject.settings)
    registry = CollectorRegistry()
    registry.register(Collector(subject))
    try:
        server, thread = start_http_server(port, address, registry)
    except OSError as error:
        raise InvalidSettings(
            f"SMART_RAG_EXPORTER_PORT: cannot listen on {address} port {port} ({error.strerror}): choose another port"
        ) from None
    if not is_loopback(address):
        logger.warning("exporter: %s is reachable from elsewhere, and scrapes need no password", address)
    logger.info("exporter: metrics at http://%s:%s/metrics", address, server.server_port)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    if alerts_every:
        Thread(target=evaluate_alerts, args=(subject, alerts_every, stopped), daemon=True).start()
    stopped.wait()
    server.shutdown()
    thread.join(5)
