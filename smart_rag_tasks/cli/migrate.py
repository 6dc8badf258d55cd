"""``migrate assess|forward|rollback|ratio|status``: from RQ to Celery in steps, and back in minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ..models import Json
from . import options
from .rq import need_rq, redis

if TYPE_CHECKING:
    from ..rq_compat.moving import Foreseen, Outcome
    from ..stages.environment import Environment


@click.group("migrate")
def migrate_command() -> None:
    """From RQ to Celery in steps, and back in minutes, without losing a document."""


def _prepare(store: str | None, redis: str | None) -> Environment:
    need_rq()
    options.apply(SMART_RAG_RQ_URL=redis)
    return options.open_environment(store)


# -- assess


@migrate_command.command("assess")
@redis
@options.with_store
def assess_command(redis: str | None, store: str | None, as_json: bool) -> None:
    """Look at a live RQ installation and at this application; changes nothing."""
    env = _prepare(store, redis)
    from ..rq_compat.assess import assess
    from . import output

    report = assess(env)
    if as_json:
        output.print_json(report)
    else:
        _print_assessment(report)


def _print_assessment(report: Json) -> None:
    from . import output

    console, rq, application = output.console(), report["rq"], report["application"]
    console.print(f"RQ: {len(rq['queues'])} queues, {len(rq['workers'])} workers, {rq['payload_bytes']['jobs']} jobs.")
    columns = ("queue", ">waiting", ">retries", ">overdue", ">failed", ">workers", ">/min", ">p50 s", ">p95 s")
    fields = [
        "name",
        "queued",
        "scheduled",
        "overdue",
        "failed",
        "workers",
        "jobs_a_minute",
        "duration_p50",
        "duration_p95",
    ]
    rows = [["–" if queue[field] is None else queue[field] for field in fields] for queue in rq["queues"]]
    console.print(output.table(columns, rows))
    sizes = rq["payload_bytes"]
    if sizes["jobs"]:
        console.print(f"Payloads: median {sizes['median']:,} bytes, largest {sizes['largest']:,}.")
    counts = application["counts"]
    console.print(
        f"This application: {counts['documents']:,} documents, ratio {application['celery_ratio']:g},"
        f" Celery {application['celery']}, {application['messages'] or 0} messages."
    )
    for title, listed in (("Would move", report["would_move"]), ("Would stay", report["would_stay"])):
        lines = [f"  {count:,} × {name}" for name, count in listed.items()] or ["  nothing"]
        console.print("\n".join([f"\n{title}:", *lines]))
    _print_list("Risks", report["risks"])
    steps = [f"{step['ratio']:g} for {step['look_for_minutes']} min" for step in report["ratios"]]
    console.print(f"\nSequence: `migrate forward --to-ratio` {', '.join(steps)}; look at failures in between.")
    _print_list("Advice", report["advice"])
    if report["measured"]:
        _print_measured(report["measured"])


def _print_list(title: str, lines: list[str]) -> None:
    from . import output

    output.console().print("\n".join([f"\n{title}:", *(f"  - {line}" for line in lines or ["none seen"])]))


def _print_measured(rows: list[Json]) -> None:
    from . import output

    columns = ("*measured", ">tasks/s", ">latency p50 ms", ">p95 ms", ">MB", ">recovery s")
    fields = ("system", "throughput", "latency_p50_ms", "latency_p95_ms", "memory_mb", "recovery_s")
    table = [["–" if row[field] is None else row[field] for field in fields] for row in rows]
    output.console().print(output.table(columns, table, title="\nCompared (docs/celery-or-rq.md)"))


# -- moves


def _moving(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        options.yes,
        click.option("--dry-run", is_flag=True, envvar="SMART_RAG_DRY_RUN", show_envvar=True,
                     help="Say what would be done, do nothing."),
        click.option("--force", is_flag=True, envvar="SMART_RAG_FORCE", show_envvar=True,
                     help="Even if nobody works on the other side."),
        click.option("--wait", type=click.FloatRange(0), default=60.0, envvar="SMART_RAG_MIGRATE_WAIT",
                     show_envvar=True, show_default=True, metavar="SECONDS", help="For tasks that run now."),
        click.option("--canary/--no-canary", default=True, envvar="SMART_RAG_CANARY", show_envvar=True,
                     help="First, a document through the other side.  [default: on]"),
        redis,
        options.with_store,
    ):  # fmt: skip
        command = option(command)
    return command


def _ratio_option(default: str) -> Callable[..., Any]:
    return click.option(
        "--to-ratio",
        default=default,
        envvar="SMART_RAG_TO_RATIO",
        show_envvar=True,
        show_default=True,
        metavar="RATIO",
        help="Share of documents on Celery afterwards, 0 to 1.",
    )


@migrate_command.command("forward")
@_ratio_option("1")
@_moving
def forward_command(**given: Any) -> None:
    """Move work from RQ to Celery."""
    _move("forward", **given)


@migrate_command.command("rollback")
@_ratio_option("0")
@_moving
def rollback_command(**given: Any) -> None:
    """Move work from Celery back to RQ."""
    _move("rollback", **given)


def _move(
    direction: str,
    *,
    to_ratio: str,
    yes: bool,
    dry_run: bool,
    force: bool,
    wait: float,
    canary: bool,
    redis: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    from ..stages.routing import parse_ratio

    ratio = parse_ratio(to_ratio)
    env = _prepare(store, redis)
    from ..rq_compat.canary import send_canary
    from ..rq_compat.migration import Migration
    from . import output

    def tell(line: str) -> None:
        click.echo(f"  {line}", err=True)

    move = Migration(env, direction, ratio, tell=tell, wait=wait)
    move.check(force=force or dry_run)
    foreseen = move.foresee()
    if dry_run:
        _print_foreseen(foreseen, move.target.name, as_json)
        return
    if not yes:
        _print_foreseen(foreseen, move.target.name, False)
        click.confirm(f"Move to {move.target.name} (ratio {ratio:g})?", abort=True, err=True)

    def fly() -> str:
        seconds = send_canary(env, move.target.name, timeout=30.0)
        return f"canary document went through {move.target.name} in {seconds:.1f} s"

    outcome = move.run(canary=fly if canary and not force else None)
    if as_json:
        output.print_json(asdict(outcome))
    else:
        _print_outcome(outcome)
    raise SystemExit(1 if outcome.problems else 0)


def _print_foreseen(foreseen: Foreseen, target: str, as_json: bool) -> None:
    from . import output

    if as_json:
        output.print_json(asdict(foreseen))
        return
    console = output.console()
    console.print(
        f"To {target}: {foreseen.runs:,} unfinished runs, {foreseen.messages:,} of their messages,"
        f" {foreseen.singles + foreseen.held:,} single tasks."
    )
    _print_foreign(foreseen.foreign)


def _print_foreign(foreign: dict[str, int]) -> None:
    from . import output

    if foreign:
        _print_list("Not ours, left alone", [f"{count:,} × {name}" for name, count in foreign.items()])
    else:
        output.console().print("Nothing else lies on these queues.")


def _print_outcome(outcome: Outcome) -> None:
    from . import output

    console = output.console()
    if outcome.unchanged:
        console.print(f"Nothing to do: all is where it belongs at ratio {outcome.to_ratio:g}.")
    names = sorted({*outcome.before, *outcome.after})
    rows = [(name, outcome.before.get(name, 0), outcome.after.get(name, 0)) for name in names]
    console.print(output.table(("*what", ">before", ">after"), rows))
    moved = ", ".join(f"{count:,} {name}" for name, count in outcome.moved.items() if count) or "nothing"
    console.print(
        f"Moved: {moved}. Took {outcome.seconds:g} s; submissions were taken all the time, the workers of the side that"
        f" was left paused for {outcome.paused_seconds:g} s."
    )
    _print_foreign(outcome.foreign)
    if outcome.problems:
        _print_list("Not as it should be", list(outcome.problems))
    else:
        console.print("Verified: every run that was under way is finished or on its side, none is missing.")


@migrate_command.command("ratio")
@click.argument("ratio", required=False)
@options.with_store
def ratio_command(ratio: str | None, store: str | None, as_json: bool) -> None:
    """Show the share of new documents that go to Celery, or set it to RATIO.

    Nothing under way is moved; `forward` and `rollback` do that.
    """
    from ..stages import routing

    wanted = None if ratio is None else routing.parse_ratio(ratio)
    env = options.open_environment(store)
    from . import output

    with env.store.write() as connection:
        switch = routing.read_switch(connection, env.settings)
        if wanted is not None:
            switch = routing.Switch(wanted, switch.moved_at)
            routing.turn_switch(env.store, connection, switch)
    if as_json:
        output.print_json(asdict(switch))
    else:
        click.echo(f"{switch.celery_ratio:g} of new documents go to Celery, {1 - switch.celery_ratio:g} to RQ.")


@migrate_command.command("status")
@redis
@options.with_store
def status_command(redis: str | None, store: str | None, as_json: bool) -> None:
    """The move under way, or the last one, and where unfinished runs are."""
    env = _prepare(store, redis)
    from ..rq_compat import statements
    from ..rq_compat.migration import last_move
    from . import output

    last = last_move(env)
    with env.store.read() as connection:
        counts = statements.count(connection)
    under_way = {name: count for name, count in counts.items() if name.startswith("under way")}
    if as_json:
        output.print_json({"last_move": None if last is None else asdict(last), **under_way})
        return
    if last is None:
        click.echo("Nothing was ever moved.")
    else:
        end = "finished" if last.finished_at else f"NOT finished, at step {last.step}: run it again"
        click.echo(f"Last move: {last.direction} to ratio {last.to_ratio:g}, {end}.")
    click.echo(", ".join(f"{count:,} {name}" for name, count in under_way.items()) or "Nothing is under way.")
