"""Evaluating the alert rules: measure, step, remember in Redis, tell. Any number of processes may do it at once.

Whoever takes the lock evaluates; the new states and the notices they made are written in one transaction, so that
nothing is told twice and a notice whose notifier is away is tried again by the next evaluation.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import uuid4

import redis

from ..errors import BrokerUnreachable, InvalidInput
from ..models import Json
from ..settings import Settings, client_url
from .alert_rules import ERROR_WINDOW, GROWTH_WINDOW, INTERVAL, Moment, Rule, remembered, rules
from .alert_states import Alert, Notice, step
from .broker import QUICK, open_broker
from .checks import Subject
from .notifiers import notifiers, refusal
from .samples import Samples, gather

logger = logging.getLogger(__name__)

_PREFIX: Final = "smart_rag_tasks:alerts:"
STATES: Final = _PREFIX + "states"  # hash: rule/subject → Alert
HISTORY: Final = _PREFIX + "history"  # list: counts of the past, the newest first
NOTICES: Final = _PREFIX + "notices"  # hash: id → what has to be told, and to whom
SILENCES: Final = _PREFIX + "silences"  # hash: rule → until when nobody is told
LOCK: Final = _PREFIX + "lock"

#: Seconds after which state that nobody renews is forgotten.
KEPT: Final = 86_400
#: Entries of the past: as many as the longest window needs, with room for other intervals.
REMEMBERED: Final = 200
#: Times that a notifier is tried: an hour at the usual interval.
TRIES: Final = 120


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation did."""

    alerts: dict[str, Alert]
    #: Made now.
    notices: list[Notice]
    #: Delivered now, and still to be delivered.
    told: int = 0
    waiting: int = 0


@contextmanager
def open_memory(subject: Subject) -> Iterator[redis.Redis]:
    """The Redis that alerts are kept in: the broker's, or the result backend's where the broker is none."""
    with open_broker(subject.app) as broker:
        if broker.client is not None:
            yield broker.client
            return
    if not subject.settings.result_backend.startswith("redis"):
        raise BrokerUnreachable("alerts are kept in Redis, and neither broker nor result backend is one")
    try:
        with redis.Redis.from_url(client_url(subject.settings.result_backend), **QUICK) as client:
            yield client
    except redis.RedisError as error:
        raise BrokerUnreachable(
            f"the result backend, where alerts are kept, does not answer ({type(error).__name__})"
        ) from error


def check(settings: Settings) -> None:
    """Raise InvalidSettings for rules or notifiers that are set wrong."""
    rules(settings.alerts)
    notifiers(settings)


def evaluate(subject: Subject, *, interval: float = INTERVAL, now: float | None = None) -> Evaluation | None:
    """Evaluate once and tell; None when another process did so within ``interval`` seconds.

    Raises BrokerUnreachable, and InvalidSettings for rules that are set wrong.
    """
    ours, tellers = rules(subject.settings.alerts), notifiers(subject.settings)
    with open_memory(subject) as memory:
        if not memory.set(LOCK, "1", nx=True, px=max(1, int(interval * 900))):
            return None
        samples = gather(subject)
        at = time.time() if now is None else now
        found = _step(memory, ours, samples, at, list(tellers))
        told, waiting = _tell(memory, tellers)
    return Evaluation(found.alerts, found.notices, told, waiting)


def _step(memory: redis.Redis, ours: tuple[Rule, ...], samples: Samples, now: float, tellers: list[str]) -> Evaluation:
    moment = Moment(samples, past(memory, now - ERROR_WINDOW), past(memory, now - GROWTH_WINDOW))
    enabled = {rule.name for rule in ours if rule.enabled}
    known = {key: alert for key, alert in states(memory).items() if alert.rule in enabled}
    measured = [(rule, rule.measure(moment)) for rule in ours if rule.enabled]
    alerts, notices = step(known, measured, now)
    quiet = silences(memory, now)
    loud = [notice for notice in notices if notice.rule not in quiet]
    with memory.pipeline() as pipe:
        pipe.delete(STATES)
        for key, alert in alerts.items():
            pipe.hset(STATES, key, json.dumps(asdict(alert)))
        for notice in loud:
            for teller in tellers:
                entry = {"to": teller, "tries": 0, "notice": notice.as_json()}
                pipe.hset(NOTICES, str(uuid4()), json.dumps(entry))
        pipe.lpush(HISTORY, json.dumps({"at": now, **remembered(samples)}))
        pipe.ltrim(HISTORY, 0, REMEMBERED - 1)
        for key in (STATES, NOTICES, HISTORY):
            pipe.expire(key, KEPT)
        pipe.execute()
    return Evaluation(alerts, loud)


def states(memory: redis.Redis) -> dict[str, Alert]:
    """The alerts that are pending or firing."""
    entries: Mapping[Any, Any] = memory.hgetall(STATES)
    found = (Alert(**json.loads(raw)) for raw in entries.values())
    return {alert.key: alert for alert in found}


def past(memory: redis.Redis, since: float) -> dict[str, float]:
    """The oldest counts that were noted after ``since``; {} when nothing was."""
    oldest: dict[str, float] = {}
    for raw in memory.lrange(HISTORY, 0, -1):
        entry = json.loads(raw)
        if entry.pop("at") < since:
            break
        oldest = {**oldest, **entry}
    return oldest


def _tell(memory: redis.Redis, tellers: Mapping[str, Any]) -> tuple[int, int]:
    """Deliver what waits; returns how many were told, and how many wait for another try."""
    told = waiting = 0
    entries: Mapping[Any, Any] = memory.hgetall(NOTICES)
    for key, raw in sorted(entries.items(), key=lambda item: json.loads(item[1])["notice"]["at"]):
        entry = json.loads(raw)
        teller, notice = tellers.get(entry["to"]), Notice(**entry["notice"])
        if teller is not None and (words := refusal(teller, notice)):
            waiting += _put_off(memory, key, entry, words)
        else:
            memory.hdel(NOTICES, key)
            told += 1
    return told, waiting


def _put_off(memory: redis.Redis, key: bytes, entry: Json, words: str) -> int:
    entry["tries"] += 1
    if entry["tries"] >= TRIES:
        logger.error("alert: %s was never told of %s: %s", entry["to"], entry["notice"]["rule"], words)
        memory.hdel(NOTICES, key)
        return 0
    logger.warning("alert: %s: %s; trying again", entry["to"], words)
    memory.hset(NOTICES, key, json.dumps(entry))
    return 1


def silence(subject: Subject, rule: str, seconds: float) -> float:
    """Let nobody be told of a rule for so long (0: no longer); returns until when. Raises InvalidInput."""
    names = [each.name for each in rules(subject.settings.alerts)]
    if rule not in names:
        raise InvalidInput(f"{rule}: no such rule; there are {', '.join(names)}")
    until = time.time() + seconds
    with open_memory(subject) as memory:
        if seconds > 0:
            memory.hset(SILENCES, rule, str(until))
        else:
            memory.hdel(SILENCES, rule)
    return until


def silences(memory: redis.Redis, now: float) -> dict[str, float]:
    """The rules that nobody is told of now, and until when."""
    entries: Mapping[Any, Any] = memory.hgetall(SILENCES)
    found = {rule.decode(): float(until) for rule, until in entries.items()}
    for rule in [rule for rule, until in found.items() if until <= now]:
        memory.hdel(SILENCES, rule)
        del found[rule]
    return found


def test_notice(now: float) -> Notice:
    """What `alerts test` sends."""
    message = "this is a test, nothing is wrong"
    return Notice("test", "", "firing", "info", message, value=0.0, threshold=0.0, since=now, at=now)
