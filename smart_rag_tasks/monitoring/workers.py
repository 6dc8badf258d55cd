"""What our workers say of themselves. All questions go out at once, and nobody waits longer than ``TIMEOUT``.

Workers of another application that shares the broker hear the same questions: who does not know our upkeep is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from celery import Celery

from ..models import Json
from ..names import SWEEP
from .background import in_background
from .broker import QUICK, Broker, open_broker

#: Seconds that workers have to answer.
TIMEOUT: Final = 1.5

#: Arguments of questions that need some; `active` would tell more than it should without.
_PLAIN: Final[dict[str, Json]] = {"active": {"safe": True}}

#: Replies by worker.
Replies = dict[str, Any]


def ask(
    app: Celery, questions: Iterable[str], timeout: float = TIMEOUT, arguments: Mapping[str, Json] = _PLAIN
) -> dict[str, Replies]:
    """Our workers' replies to several of Celery's `inspect` questions; {} for each when none answers.

    Raises BrokerUnreachable. As soon as every worker that listens has answered, nobody waits any longer.
    """
    asked = list(questions)
    with open_broker(app) as broker:
        listening = _listeners(app, broker)
    if listening == 0:
        return {question: {} for question in asked}
    questions = {*asked, "registered"}
    looks = {
        question: in_background(_ask_one, app, question, timeout, listening, arguments.get(question, {}))
        for question in questions
    }
    replies = {question: look.result() for question, look in looks.items()}
    others = _others(replies["registered"])
    return {
        question: {worker: reply for worker, reply in replies[question].items() if worker not in others}
        for question in asked
    }


def _others(registered: Replies) -> set[str]:
    """Another application's workers; one that does not say what it knows is taken for ours.

    What imports us to submit documents has most of our tasks in its registry, but not those of upkeep.
    """
    return {
        worker
        for worker, tasks in registered.items()
        if not any(task.partition(" ")[0] == SWEEP for task in tasks or ())
    }


def _listeners(app: Celery, broker: Broker) -> int | None:
    """How many workers listen to control commands, the dead of the last minutes included; None if unknown."""
    if broker.client is None:
        return None
    control: Any = app.control
    exchange = control.mailbox.exchange.name
    return int(broker.client.scard(broker.prefix + broker.channel.keyprefix_queue % (exchange,)))


def _ask_one(app: Celery, question: str, timeout: float, listening: int | None, arguments: Json) -> Replies:
    with app.connection_for_write(transport_options=QUICK, connect_timeout=2) as connection:
        inspect = app.control.inspect(timeout=timeout, connection=connection, limit=listening)
        replies: Any = inspect._request(question, **arguments)
    found = replies if isinstance(replies, dict) else {}
    return {worker: reply for worker, reply in found.items() if not (isinstance(reply, dict) and "error" in reply)}


def consumers(active_queues: Mapping[str, Any]) -> dict[str, list[str]]:
    """The workers that serve each queue."""
    found: dict[str, list[str]] = {}
    for worker, queues in active_queues.items():
        for queue in queues or ():
            found.setdefault(queue["name"], []).append(worker)
    return found
