"""``alerts``: the rules and their states, a test notice, silence, and the same rules for Prometheus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from . import options, output

if TYPE_CHECKING:
    from ..monitoring.checks import Subject


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """``90``, ``90s``, ``15m``, ``2h``, ``1d``: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
        text = str(value).strip().lower()
        number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
        if not number.replace(".", "", 1).isdecimal():
            self.fail(f"{value!r} is no duration; use 90s, 15m, 2h or 1d", param, ctx)
        return float(number) * units[unit]


def _subject() -> Subject:
    options.find_redis()
    from ..celery import app
    from ..monitoring.checks import Subject
    from ..settings import get_settings

    return Subject(app, get_settings())


@click.group("alerts")
def alerts_command() -> None:
    """Who is told of what, and when."""


@alerts_command.command("list")
@options.as_json
def list_rules(as_json: bool) -> None:
    """Every rule with its limit, and what is wrong now."""
    from ..monitoring import alerts
    from ..monitoring.alert_rules import rules as rules_of

    subject = _subject()
    rules = rules_of(subject.settings.alerts)
    with alerts.open_memory(subject) as memory:
        found, silenced = list(alerts.states(memory).values()), alerts.silences(memory, time.time())
    if as_json:
        output.print_json([_as_json(rule, found, silenced) for rule in rules])
        return
    console, now = output.console(), time.time()
    firing = sum(alert.state == "firing" for alert in found)
    console.print(f"{firing} firing, {len(found) - firing} pending.")
    columns = ("*rule", "severity", ">limit", ">for", "state")
    console.print(output.table(columns, (_row(rule, found, silenced, now) for rule in rules)))
    for alert in found:
        rule = next(each for each in rules if each.name == alert.rule)
        words = f"{alert.state} for {output.duration(now - alert.since)}: {rule.describe(alert.subject, alert.value)}"
        console.print(words, style="red" if alert.state == "firing" else "yellow", soft_wrap=True)


def _row(rule: Any, found: list[Any], silenced: dict[str, float], now: float) -> tuple[object, ...]:
    states = {alert.state for alert in found if alert.rule == rule.name}
    state = "firing" if "firing" in states else "pending" if states else "ok"
    if not rule.enabled:
        state = "off"
    if rule.name in silenced:
        state += f", silent for {output.duration(silenced[rule.name] - now)}"
    limit = f"{rule.operator} {rule.number(rule.threshold)}"
    hold = f"{rule.hold:.0f} s" if rule.hold else "at once"
    return (rule.name, rule.severity, limit, hold, state)


def _as_json(rule: Any, found: list[Any], silenced: dict[str, float]) -> dict[str, Any]:
    named = ("name", "severity", "operator", "threshold", "enabled")
    alerts = [
        {"subject": alert.subject, "state": alert.state, "since": alert.since, "value": alert.value}
        for alert in found
        if alert.rule == rule.name
    ]
    facts = {name: getattr(rule, name) for name in named}
    return facts | {"for": rule.hold, "silenced_until": silenced.get(rule.name), "alerts": alerts}


@alerts_command.command()
@options.as_json
def test(as_json: bool) -> None:
    """Send a test notice to everybody who would be told; exits with 1 if somebody cannot be."""
    from ..monitoring.alerts import test_notice
    from ..monitoring.notifiers import notifiers, refusal
    from ..settings import get_settings

    outcome: dict[str, str] = {}
    for name, tell in notifiers(get_settings()).items():
        outcome[name] = refusal(tell, test_notice(time.time())) or "told"
    if as_json:
        output.print_json(outcome)
    else:
        for name, words in outcome.items():
            output.console().print(f"{name:<8} {words}", soft_wrap=True)
    if any(words != "told" for words in outcome.values()):
        raise SystemExit(1)


@alerts_command.command()
@click.argument("rule")
@click.option("--for", "seconds", type=Duration(), default="1h", show_default=True, envvar="SMART_RAG_SILENCE_FOR",
              show_envvar=True, metavar="TIME", help="90s, 15m, 2h, 1d; 0 ends a silence.")  # fmt: skip
@options.as_json
def silence(rule: str, seconds: float, as_json: bool) -> None:
    """Let nobody be told of RULE for a while."""
    from ..monitoring import alerts

    until = alerts.silence(_subject(), rule, seconds)
    words = f"{rule} is silent for {output.duration(seconds)}." if seconds else f"{rule} is not silent any more."
    output.say(as_json, words, rule=rule, until=until if seconds else None)


@alerts_command.command()
@options.as_json
def export(as_json: bool) -> None:
    """Print the same rules for Prometheus: redirect it into a rules file."""
    from ..monitoring.alert_rules import rules
    from ..monitoring.prometheus_rules import groups, render
    from ..settings import get_settings
    from . import output

    ours = rules(get_settings().alerts)
    if as_json:
        output.print_json(groups(ours))
    else:
        click.echo(render(ours), nl=False)
