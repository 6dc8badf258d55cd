"""``rq worker``, ``rq status``: RQ's side, kept for a rollback. Moving between the sides is ``migrate``."""

from __future__ import annotations

from dataclasses import asdict

import click

from ..errors import InvalidSettings
from ..models import Json
from ..names import QUEUES
from . import options


def need_rq() -> None:
    """InvalidSettings with the pip line when RQ is not installed."""
    try:
        import rq  # noqa: F401
    except ModuleNotFoundError:
        raise InvalidSettings("RQ is not installed: pip install 'smart-rag-tasks[rq]'") from None


redis = click.option(
    "--redis",
    envvar="SMART_RAG_RQ_URL",
    show_envvar=True,
    metavar="URL",
    help="RQ's Redis.  [default: REDIS_URL]",
)


@click.group("rq")
def rq_command() -> None:
    """RQ, kept only to go back to it: its workers, and how it is."""


@rq_command.command("worker")
@click.option(
    "--queue",
    "-q",
    "queues",
    multiple=True,
    type=click.Choice(QUEUES),
    envvar="SMART_RAG_RQ_QUEUES",
    show_envvar=True,
    help="Queues to serve, in this order.  [default: all]",
)
@click.option(
    "--count",
    type=click.IntRange(1, 512),
    envvar="WORKER_CONCURRENCY",
    show_envvar=True,
    metavar="N",
    help="Workers, each with one job at a time.  [default: one a core]",
)
@click.option("--burst", is_flag=True, envvar="SMART_RAG_RQ_BURST", show_envvar=True, help="End when all is done.")
@options.with_store
@redis
def worker_command(
    queues: tuple[str, ...], count: int | None, burst: bool, store: str | None, as_json: bool, redis: str | None
) -> None:
    """Run RQ workers with our settings: JSON, retries, sweeps, quick recovery."""
    need_rq()
    options.apply(SMART_RAG_STORE_URL=store, SMART_RAG_RQ_URL=redis)
    options.find_redis()
    from ..rq_compat.worker import run_workers
    from ..settings import get_settings, mask
    from . import output

    settings = get_settings()
    count = count or settings.worker_concurrency
    url, place = mask(settings.rq_url), mask(settings.store_url)
    if as_json:
        output.print_json({"redis": url, "store": place, "workers": count})
    else:
        click.echo(f"RQ on {url}, store {place}, {count} workers", err=True)
    run_workers(count, queues or QUEUES, burst=burst, level=settings.log_level)


@rq_command.command("status")
@redis
@options.as_json
def status_command(redis: str | None, as_json: bool) -> None:
    """Queues, failures, retries and workers of RQ."""
    need_rq()
    options.apply(SMART_RAG_RQ_URL=redis)
    options.find_redis()
    from ..rq_compat.monitor import RQMonitor
    from . import output

    monitor = RQMonitor()
    names = sorted({*monitor.queue_names(), *QUEUES}, key=lambda name: (name not in QUEUES, name))
    report: Json = {
        "queues": [asdict(monitor.queue(name)) for name in names],
        "workers": monitor.get_worker_stats(),
        "health": monitor.health_check(),
    }
    if as_json:
        output.print_json(report)
        return
    _print(report)


def _print(report: Json) -> None:
    from . import output

    health = report["health"]
    console = output.console()
    console.print(f"RQ is {health['status']}{': ' + health['reason'] if 'reason' in health else ''}.")
    columns = ("queue", ">waiting", ">started", ">retries", ">overdue", ">failed", ">workers")
    fields = ("name", "queued", "started", "scheduled", "overdue", "failed", "workers")
    console.print(output.table(columns, [[queue[field] for field in fields] for queue in report["queues"]]))
    if report["workers"]:
        shown = ("name", "pid", "state", "succeeded", "failed", "silent_for")
        rows = [[str(worker[field])[:12] for field in shown] for worker in report["workers"]]
        console.print(output.table(("worker", ">pid", "state", ">done", ">failed", ">silent s"), rows))
