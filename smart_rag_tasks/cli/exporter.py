"""``exporter``: the metrics, for Prometheus."""

from __future__ import annotations

import click

from . import options


@click.command("exporter")
@options.with_store
@click.option("--address", envvar="SMART_RAG_EXPORTER_ADDRESS", show_envvar=True, help="[default: 127.0.0.1]")
@click.option("--port", type=int, envvar="SMART_RAG_EXPORTER_PORT", show_envvar=True, help="[default: 9540]")
@click.option("--alerts-every", type=click.FloatRange(0, 3600), default=30.0, envvar="SMART_RAG_ALERTS_EVERY",
              show_envvar=True, show_default=True, metavar="SECONDS", help="Evaluate alerts; 0: never.")  # fmt: skip
def exporter_command(
    store: str | None, as_json: bool, address: str | None, port: int | None, alerts_every: float
) -> None:
    """Serve the metrics at /metrics, and watch the alert rules, until it is stopped.

    Scrapes need no password, so it listens on loopback. With --json its log lines are JSON.
    """
    options.apply(SMART_RAG_STORE_URL=store, SMART_RAG_EXPORTER_ADDRESS=address, SMART_RAG_EXPORTER_PORT=port)
    if as_json:
        options.apply(SMART_RAG_LOG_FORMAT="json")
    options.find_redis()
    from ..celery import app
    from ..instrumentation import logs
    from ..monitoring.checks import Subject
    from ..monitoring.exporter import serve
    from ..settings import get_settings

    settings = get_settings()
    logs.configure(settings.log_level, kind=settings.log_format, file=settings.log_file)
    serve(Subject(app, settings), settings.exporter_address, settings.exporter_port, alerts_every)
