"""Health as a list of checks that are made at once, each with a time limit. Liveness and readiness are told apart."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Final

from ..errors import BrokerUnreachable, SmartRagError, words_of
from ..models import Json
from . import workers
from .background import in_background
from .checks import CHECKS, READINESS, Subject

#: Seconds for all checks together.
LIMIT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check."""

    name: str
    ok: bool
    #: How things are, or what is wrong and what to do.
    detail: str


def health(subject: Subject, names: Sequence[str] = tuple(CHECKS), limit: float = LIMIT) -> list[Check]:
    """The outcomes in the order of ``names``, after ``limit`` seconds at the most."""
    deadline = monotonic() + limit
    looks = {name: in_background(CHECKS[name], subject) for name in names}
    return [_outcome(name, look, deadline) for name, look in looks.items()]


def _outcome(name: str, look: Future[str], deadline: float) -> Check:
    try:
        return Check(name, True, look.result(max(0.0, deadline - monotonic())))
    except Late:
        return Check(name, False, "no answer in time")
    except SmartRagError as error:
        return Check(name, False, str(error))
    except Exception as error:  # a check that breaks is a failed check, whatever it stumbled over
        return Check(name, False, words_of(error))


def readiness(subject: Subject) -> list[Check]:
    """Whether a document that is submitted now would be finished."""
    return health(subject, READINESS)


def liveness(subject: Subject, worker: str = "") -> list[Check]:
    """Whether this machine's workers (or the one named) need a restart.

    A broker that does not answer is no reason: a new worker could not reach it either.
    """
    try:
        answering = sorted(workers.ask(subject.app, ("ping",), subject.timeout)["ping"])
    except BrokerUnreachable:
        return [Check("worker", True, "cannot be asked: the broker is away, and a restart would not help")]
    here = [name for name in answering if name == worker or (not worker and name.endswith(f"@{socket.gethostname()}"))]
    if here:
        return [Check("worker", True, f"answers: {', '.join(here)}")]
    return [Check("worker", False, f"{worker or 'no worker of ' + socket.gethostname()} does not answer: restart it")]


def summary(checks: Sequence[Check]) -> Json:
    """The checks as JSON, with ``status`` and, if it is ``unhealthy``, ``reason``."""
    failed = [check for check in checks if not check.ok]
    found: Json = {"status": "unhealthy" if failed else "healthy", "checks": [asdict(check) for check in checks]}
    if failed:
        found["reason"] = "; ".join(f"{check.name}: {check.detail}" for check in failed)
    return found
