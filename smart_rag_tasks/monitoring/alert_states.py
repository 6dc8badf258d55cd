"""From pending to firing to resolved: a pure function of what was known, what was measured and the time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from .alert_rules import Measured, Rule

PENDING: Final = "pending"
FIRING: Final = "firing"
RESOLVED: Final = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule that is wrong for one subject."""

    rule: str
    subject: str
    #: ``pending`` or ``firing``.
    state: str
    #: When it went wrong, and when it fired; seconds since the epoch.
    since: float
    fired_at: float | None
    #: The last number measured.
    value: float

    @property
    def key(self) -> str:
        """What tells it from others."""
        return f"{self.rule}/{self.subject}"


@dataclass(frozen=True, slots=True)
class Notice:
    """What somebody is told, once: that an alert fires, or that it is over."""

    rule: str
    subject: str
    #: ``firing`` or ``resolved``.
    state: str
    severity: str
    message: str
    value: float
    threshold: float
    #: When it went wrong, and when this notice was made.
    since: float
    at: float

    @property
    def title(self) -> str:
        """One line."""
        return f"[{self.state}] {self.severity}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def step(
    known: Mapping[str, Alert], measured: Iterable[tuple[Rule, Measured]], now: float
) -> tuple[dict[str, Alert], list[Notice]]:
    """The alerts after this evaluation, and what is to be told.

    A rule that could not be measured changes nothing; a subject that is gone (a worker that left) is resolved.
    """
    alerts, notices = dict(known), list[Notice]()
    for rule, found in measured:
        if found is None:
            continue
        wrong = {subject: value for subject, value in found.items() if rule.is_wrong(value)}
        for subject, value in wrong.items():
            alert, notice = _wrong(rule, subject, value, known.get(f"{rule.name}/{subject}"), now)
            alerts[alert.key] = alert
            notices += [notice] if notice else []
        for key, alert in known.items():
            if alert.rule == rule.name and alert.subject not in wrong:
                del alerts[key]
                if alert.state == FIRING:
                    notices.append(_notice(rule, alert, RESOLVED, found.get(alert.subject, alert.value), now))
    return alerts, notices


def _wrong(rule: Rule, subject: str, value: float, before: Alert | None, now: float) -> tuple[Alert, Notice | None]:
    since = before.since if before else now
    if before is not None and before.state == FIRING:
        return Alert(rule.name, subject, FIRING, since, before.fired_at, value), None
    if now - since < rule.hold:
        return Alert(rule.name, subject, PENDING, since, None, value), None
    alert = Alert(rule.name, subject, FIRING, since, now, value)
    return alert, _notice(rule, alert, FIRING, value, now)


def _notice(rule: Rule, alert: Alert, state: str, value: float, now: float) -> Notice:
    message = rule.describe(alert.subject, value if state == FIRING else alert.value)
    return Notice(
        rule=rule.name,
        subject=alert.subject,
        state=state,
        severity=rule.severity,
        message=message if state == FIRING else f"over: {message}",
        value=value,
        threshold=rule.threshold,
        since=alert.since,
        at=now,
    )
