"""``up``: everything in one terminal, each process's lines under its name; what dies is started again."""

from __future__ import annotations

import click

from . import options


@click.command("up")
@options.with_store
@options.workers
@options.generator
@click.option("--flower/--no-flower", default=True, envvar="SMART_RAG_UP_FLOWER", show_envvar=True,
              help="Flower on http://127.0.0.1:5555.  [default: on]")  # fmt: skip
@click.option("--beat/--no-beat", default=True, envvar="SMART_RAG_UP_BEAT", show_envvar=True,
              help="Periodic re-scans and upkeep.  [default: on]")  # fmt: skip
def up_command(
    store: str | None, as_json: bool, workers: int | None, generator: str | None, flower: bool, beat: bool
) -> None:
    """Start Redis (unless REDIS_URL is set), workers, beat and Flower; Ctrl-C stops them all.

    With --json each line that a process prints is an object: {"process": …, "line": …}.
    """
    options.apply(SMART_RAG_STORE_URL=store, WORKER_CONCURRENCY=workers, SMART_RAG_GENERATOR=generator)
    from ..monitoring import flower_access
    from ..names import RESERVED_QUEUES
    from ..processes import Process, Supervisor
    from ..settings import get_settings, mask
    from . import launch

    launch.check(get_settings())
    if flower:
        flower_access.check_settings(get_settings())
    with launch.redis_for(get_settings()) as settings:
        click.echo(f"Redis {mask(settings.broker_url)}, store {mask(settings.store_url)}", err=True)
        processes = [launch.worker(settings, number + 1) for number in range(settings.worker_count)]
        processes.append(launch.worker(settings, name="priority", queues=RESERVED_QUEUES, concurrency=1))
        if beat:
            processes.append(Process("beat", launch.celery_argv("beat", "--loglevel", settings.log_level)))
        if flower:
            processes.append(Process("flower", launch.celery_argv("flower", f"--port={settings.flower_port}")))
        supervisor = Supervisor(processes, as_json=as_json)
        supervisor.start()
        raise SystemExit(supervisor.wait())
