"""What is wrong, of the system and of each document that is not done, each with the command that mends it.

The checks of ``monitoring`` (is it there, does it answer?) and those of settings, persistence, versions and clocks.
Nothing is changed by looking, and the answer comes within seconds, whatever does not answer.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

from packaging.requirements import Requirement
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from . import names
from .errors import BrokerUnreachable, SmartRagError, StoreUnavailable, words_of
from .guarantees import broken_beat, broken_settings
from .models import Json, RunStatus
from .monitoring import workers
from .monitoring.background import in_background
from .monitoring.broker import open_broker
from .monitoring.checks import CHECKS, Subject
from .settings import misspelt
from .stages import rescan
from .stages.diagnosis import BrokerFacts, Waiting, waiting_documents
from .stages.environment import Environment, chosen_generator
from .starting import hard_limits
from .store import watched
from .store.documents import count_by_status
from .transport import is_redis

#: Seconds for all checks together.
LIMIT: Final = 10.0

#: Seconds that clocks may differ: leases and due times are compared over hosts.
CLOCK: Final = 2.0

#: The oldest Redis that has all commands that we and Celery use.
REDIS_VERSION: Final = (6, 2)

#: What mends a check that fails without a command in its own words.
COMMANDS: Final[dict[str, str]] = {
    "broker": "smart-rag-tasks up",
    "result backend": "smart-rag-tasks up",
    "store": "smart-rag-tasks status",
    "schema": "pip install -U smart-rag-tasks",
    "workers": "celery -A smart_rag_tasks worker",
    "beat": "celery -A smart_rag_tasks beat",
    "sinks": "smart-rag-tasks dead-letters list --source delivery",
    "redis memory": "redis-cli config set maxmemory-policy noeviction",
}


#: The checks that say that something is away; the others cannot look then.
AWAY: Final = frozenset({"broker", "result backend", "store"})


class Ailing(SmartRagError):
    """Something is wrong; the message says what, ``command`` what mends it."""

    def __init__(self, message: str, command: str = "") -> None:
        super().__init__(message)
        self.command = command


class State(StrEnum):
    """How a part of the system is."""

    OK = "ok"
    WRONG = "wrong"
    #: It could not be looked at, because another part is away that has a finding of its own.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check of the system."""

    name: str
    state: State
    #: How it is, or what is wrong.
    detail: str
    #: What mends it, "" when nothing has to be mended or it takes more than a command.
    command: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that the doctor says."""

    system: Sequence[Finding]
    documents: Sequence[Waiting]
    #: Why the documents could not be looked at, "" when they were.
    blind: str = field(default="")
    #: How many documents failed; nothing is under way for them.
    failed: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        sound = not any(it.state is State.WRONG for it in self.system)
        return sound and not self.blind and not any(it.wrong for it in self.documents)

    def record(self) -> Json:
        """For ``--json``."""
        documents = [asdict(it) | {"wrong": it.wrong} for it in self.documents]
        system = [asdict(it) for it in self.system]
        return {"ok": self.ok, "system": system, "documents": documents, "blind": self.blind, "failed": self.failed}


def examine(subject: Subject, document_id: str | None = None, limit: float = LIMIT) -> Report:
    """Look at everything at once, for ``limit`` seconds at the most."""
    deadline = time.monotonic() + limit
    looks = {name: in_background(check, subject) for name, check in ALL_CHECKS.items()}
    documents = in_background(_documents, subject, document_id)
    found = _accounted([_finding(name, look, deadline, _mends(subject, name)) for name, look in looks.items()])
    try:
        waits, failed = documents.result(max(0.0, deadline - time.monotonic()))
        return Report(found, waits, failed=failed)
    except Late:
        return Report(found, (), "the store does not answer in time")
    except SmartRagError as error:
        return Report(found, (), str(error))
    except DBAPIError as error:  # a store that is not of this program's schema
        return Report(found, (), f"the store cannot be read ({type(error.orig).__name__})")


def _mends(subject: Subject, name: str) -> str:
    """The command for a check of that name; none of ours starts a broker that is not Redis."""
    return "" if name == "broker" and not is_redis(subject.app) else COMMANDS.get(name, "")


def _finding(name: str, look: Future[str], deadline: float, known: str) -> Finding:
    try:
        return Finding(name, State.OK, look.result(max(0.0, deadline - time.monotonic())))
    except Late:
        return Finding(name, State.WRONG, "no answer in time", known)
    except Ailing as error:
        return Finding(name, State.WRONG, str(error), error.command)
    except (BrokerUnreachable, StoreUnavailable) as error:
        if name not in AWAY:
            return Finding(name, State.UNKNOWN, str(error), known)
        return Finding(name, State.WRONG, str(error), _quoted(str(error)) or known)
    except SmartRagError as error:
        return Finding(name, State.WRONG, str(error), _quoted(str(error)) or known)
    except Exception as error:  # a check that breaks is a failed check, whatever it stumbled over
        return Finding(name, State.WRONG, words_of(error), known)


def _accounted(found: Sequence[Finding]) -> list[Finding]:
    """What could not be looked at is unknown only if another line says what is away; else it is what is wrong."""
    if any(it.name in AWAY and it.state is State.WRONG for it in found):
        seen = "could not be looked at: see above"
        return [replace(it, detail=seen, command="") if it.state is State.UNKNOWN else it for it in found]
    return [replace(it, state=State.WRONG) if it.state is State.UNKNOWN else it for it in found]


def _quoted(sentence: str) -> str:
    """The first command that a sentence names."""
    if queues := re.search(r"start a worker with (-Q \S+)$", sentence):
        return f"celery -A smart_rag_tasks worker {queues[1]}"
    found = re.search(r"`([^`]+)`", sentence)
    return found[1] if found else ""


def _documents(subject: Subject, document_id: str | None) -> tuple[list[Waiting], int]:
    """Those that wait for something, and how many failed."""
    env = Environment(subject.settings, subject.store)
    with subject.store.read() as connection:
        failed = count_by_status(connection).get(RunStatus.FAILED, 0)
    return waiting_documents(env, _broker_facts(subject), document_id), failed


def _broker_facts(subject: Subject) -> BrokerFacts | None:
    try:
        with open_broker(subject.app) as broker:
            waiting = {state.name: state.waiting for state in broker.queues()}
        return BrokerFacts(waiting, workers.consumers(subject.replies["active_queues"]))
    except SmartRagError:
        return None


# -- the doctor's own checks: each gives a phrase, or raises an error of ours


def settings(subject: Subject) -> str:
    """No setting breaks a guarantee, none is misspelt."""
    subject.app.loader.import_default_modules()
    found = broken_settings(subject.app.conf, task_limits=hard_limits(subject.app)) + broken_beat(subject.app.conf)
    words = [str(item) for item in found] + ([slip] if (slip := misspelt()) else [])
    if words:
        raise Ailing("; ".join(words))
    return "none of them breaks a guarantee"


def generator(subject: Subject) -> str:
    """The generator can be made."""
    return f"{subject.settings.generator} ({chosen_generator(subject.settings).fingerprint})"


def versions(subject: Subject) -> str:
    """What is installed is what this program was made for; Redis is new enough."""
    wrong = [problem for line in requires("smart-rag-tasks") or () if (problem := _misfit(Requirement(line)))]
    if wrong:
        raise Ailing(f"installed: {', '.join(wrong)}", "pip install -U --upgrade-strategy eager smart-rag-tasks")
    server = _redis_info(subject).get("redis_version", "")
    parts = tuple(int(part) for part in str(server).split(".")[:2] if part.isdigit())
    if server and parts < REDIS_VERSION:
        raise Ailing(f"Redis {server} is too old: use {REDIS_VERSION[0]}.{REDIS_VERSION[1]} or newer")
    return f"Celery {version('celery')}, kombu {version('kombu')}, Redis {server or 'not asked'}"


def _misfit(requirement: Requirement) -> str:
    """``celery 5.6.0 (needs <5.8,>=5.7)``, "" when it fits; extras are their own business."""
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return ""
    try:
        there = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is missing"
    fits = requirement.specifier.contains(there, prereleases=True)
    return "" if fits else f"{requirement.name} {there} (needs {requirement.specifier})"


def persistence(subject: Subject) -> str:
    """Redis keeps its data over a restart, and throws nothing away."""
    info = _redis_info(subject)
    if not info:
        return "not Redis"
    policy = info.get("maxmemory_policy")
    if policy not in (None, "noeviction"):
        raise Ailing(
            f"Redis may throw messages away when its memory is full (maxmemory-policy {policy})",
            "redis-cli config set maxmemory-policy noeviction",
        )
    if int(info.get("aof_enabled", 0)):
        return "append-only file"
    if int(info.get("rdb_last_save_time", 0)) > int(time.time() - info.get("uptime_in_seconds", 0)) + 1:
        return "snapshots: what came after the last one is sent again by the sweep"
    raise Ailing(
        "Redis keeps nothing over a restart: documents go on, from the store, but results and progress are lost",
        "redis-cli config set appendonly yes",
    )


def _redis_info(subject: Subject) -> Json:
    with open_broker(subject.app) as broker:
        found: Json = broker.client.info() if broker.client is not None else {}
    return found


def clocks(subject: Subject) -> str:
    """This host's clock, Redis' and PostgreSQL's agree."""
    apart = {"Redis": _redis_skew(subject), "PostgreSQL": _postgres_skew(subject)}
    known = {name: skew for name, skew in apart.items() if skew is not None}
    wrong = [f"{name} is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}" for name, skew in known.items()
             if abs(skew) > CLOCK]  # fmt: skip
    if wrong:
        raise Ailing(
            f"{', '.join(wrong)}: leases and retries would come at the wrong time; keep the hosts' clocks together",
            "timedatectl set-ntp true",
        )
    return ", ".join(f"{name} {skew:+.3f} s" for name, skew in known.items()) or "one host"


def _redis_skew(subject: Subject) -> float | None:
    with open_broker(subject.app) as broker:
        if broker.client is None:
            return None
        broker.client.ping()
        before = time.time()
        seconds, micros = broker.client.time()
        return float(seconds) + float(micros) / 1e6 - (before + time.time()) / 2


def _postgres_skew(subject: Subject) -> float | None:
    store = subject.store
    if store.is_sqlite:
        return None
    with store.read() as connection:
        connection.execute(text("SELECT 1"))
        before = time.time()
        there = float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
        return there - (before + time.time()) / 2


def deploy(subject: Subject) -> str:
    """Every worker knows every task."""
    registered = workers.ask(subject.app, ("registered",), subject.timeout)["registered"]
    wanted = {*names.TASK_QUEUES} & {*subject.app.tasks}
    lacking = {
        worker: sorted(wanted - {task.partition(" ")[0] for task in tasks}) for worker, tasks in registered.items()
    }
    old = [f"{worker} ({tasks[0]}{', …' if len(tasks) > 1 else ''})" for worker, tasks in lacking.items() if tasks]
    if old:
        raise Ailing(f"do not know all tasks: {', '.join(old)}; restart them with this version")
    count = len(registered)
    return f"{count} worker{'s' * (count > 1)} asked, all tasks known" if count else "no worker to ask"


def watches(subject: Subject) -> str:
    """Watched folders are there."""
    env = Environment(subject.settings, subject.store)
    problems = [scan["problem"] for scan in rescan.last_scans(env).values() if scan.get("problem")]
    if problems:
        raise Ailing("; ".join(problems), "smart-rag-tasks watch list")
    with subject.store.read() as connection:
        refused = len(watched.refused(connection))
    told = f"{refused} file{'s' * (refused > 1)} refused: `smart-rag-tasks dead-letters list --source file`"
    return told if refused else "nothing to complain of"


#: In the order in which they are told.
ALL_CHECKS: Final[Mapping[str, Callable[[Subject], str]]] = {
    "settings": settings,
    **CHECKS,
    "generator": generator,
    "versions": versions,
    "persistence": persistence,
    "clocks": clocks,
    "deploy": deploy,
    "watched folders": watches,
}
