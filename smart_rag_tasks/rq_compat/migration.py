"""Moving from one side to the other: nothing lost, nothing doubled, stoppable at any point and begun again.

Every step may be repeated. What a killed move leaves behind is in the store (which way, since when, which consumers
were cancelled) and in a hash in Redis (items on their way); the next call goes on from there.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, Final

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from ..dispatch import engine
from ..errors import BrokerUnreachable, InvalidInput
from ..models import TERMINAL
from ..names import CELERY, DEFAULT, INTAKE_QUEUE, METADATA_QUEUE, RQ
from ..stages import routing
from ..stages.environment import Environment
from ..store import facts, runs
from . import statements
from .celery_side import CelerySide
from .items import FOREIGN, RUN, SINGLE, UPKEEP, Item
from .moving import Foreseen, NoWorkers, Outcome, Side, State
from .rq_side import RQSide
from .singles_move import take_over

logger = logging.getLogger(__name__)

#: The fact that holds the move under way, or the last one.
FACT: Final = "migration"

#: Queues that need a worker on the side that is moved to.
NEEDED: Final = (INTAKE_QUEUE, METADATA_QUEUE, DEFAULT)

#: Runs given or sent in one transaction: no writer waits long for SQLite's one lock.
PAGE: Final = 200

#: Looks for what producers that had not heard of the switch yet have sent meanwhile.
PASSES: Final = 5


class Migration:
    """One move: ``forward`` to Celery or ``rollback`` to RQ, up to a ratio."""

    def __init__(
        self, env: Environment, direction: str, to_ratio: float, *, tell: Callable[[str], None], wait: float = 60.0
    ) -> None:
        celery, rq = CelerySide(), RQSide()
        self.env, self.direction, self.to_ratio, self.tell, self.wait = env, direction, to_ratio, tell, wait
        self.source: Side = rq if direction == "forward" else celery
        self.target: Side = celery if direction == "forward" else rq
        self.moved: Counter[str] = Counter()
        self.paused_seconds = 0.0

    # -- before

    def check(self, *, force: bool = False) -> None:
        """Raise what stands against the move: a side that is away, a wrong direction, no workers there."""
        engine(self.target.name)
        for side in (self.source, self.target):
            side.check()
        now = self._switch().celery_ratio
        if (self.to_ratio < now) if self.direction == "forward" else (self.to_ratio > now):
            other = "rollback" if self.direction == "forward" else "forward"
            raise InvalidInput(f"the ratio is {now:g}; {self.direction} cannot set {self.to_ratio:g}, use `{other}`")
        self._check_workers(force)

    def _check_workers(self, force: bool) -> None:
        consumers = self.target.consumers()
        missing = [queue for queue in NEEDED if not consumers.get(queue)]
        if not missing:
            self.tell(f"{max(consumers.values())} workers consume on {self.target.name}")
        elif not force:
            start = "celery -A smart_rag_tasks worker" if self.target.name == CELERY else "smart-rag-tasks rq worker"
            raise NoWorkers(
                f"no worker consumes {', '.join(missing)} on {self.target.name}: start `{start}`, or give --force"
            )
        else:
            self.tell(f"nobody consumes {', '.join(missing)} on {self.target.name}; going on, as forced")

    def foresee(self) -> Foreseen:
        """What is to be moved now. Changes nothing."""
        kinds, foreign, running = Counter[str](), Counter[str](), self.source.running()
        for item in self.source.items():
            if item.kind == FOREIGN:
                foreign[f"{item.function or '?'} ({item.reason})"] += 1
            elif item.kind != UPKEEP and item.id not in running and self._is_to_move(item, with_runs=True):
                kinds[item.kind] += 1
        with self.env.store.read() as connection:
            waiting = [row for row in statements.unfinished(connection, self.source.name) if self._belongs_there(row)]
        held = sum(1 for _ in self.source.held())
        return Foreseen(len(waiting), kinds[RUN], kinds[SINGLE], held, dict(foreign))

    def _belongs_there(self, run: Any) -> bool:
        return routing.side_of(run.document_id, self.to_ratio) == self.target.name

    def _is_to_move(self, item: Item, *, with_runs: bool = False) -> bool:
        """Whether an item does not belong here (any more); ``with_runs``: or will not, when its run has moved."""
        if item.kind == SINGLE:
            sides = {routing.side_of(name, self.to_ratio) for name in item.document_ids}
            return self.target.name in sides if sides else self.to_ratio in (0.0, 1.0)
        with self.env.store.read() as connection:
            run = statements.where_it_is(connection, item.run_id)
        if run is None or run.status in TERMINAL or run.engine != self.source.name:
            return True
        return with_runs and self._belongs_there(run)

    # -- the move

    def run(self, *, canary: Callable[[], str | None] | None = None) -> Outcome:
        """Move; returns what came of it. Raises StoreUnavailable or BrokerUnreachable, and can be called again then."""
        state = self._begin()
        if state is None:
            return self._unchanged()
        self._step(state, "canary", canary)
        self._step(state, "switch", self._turn)
        self._step(state, "stop", lambda: self._stop(state))
        try:
            self._step(state, "wait", self._wait_for_running)
            for number in range(PASSES):
                self._step(state, "move", self._move_runs)
                self._step(state, "messages", self._move_messages)
                self._step(state, "publish", self._publish)
                if self.foresee().nothing:
                    break
                logger.info("pass %d: more has come meanwhile", number + 1)
        finally:
            self._resume(state)
        return self._verify(state)

    def _begin(self) -> State | None:
        """The state of the move that was broken off, or of a new one; None when there is nothing to do."""
        last = last_move(self.env)
        if last is not None and last.finished_at is None:
            if (last.direction, last.to_ratio) == (self.direction, self.to_ratio):
                self.tell(f"going on with the move that was begun at {_clock(last.started_at)} (step {last.step})")
                self.moved.update(last.moved)
                return last
            self.tell(f"the unfinished {last.direction} is given up; this move takes its place")
            side = CelerySide() if last.direction == "rollback" else RQSide()
            side.resume_intake(last.consumers)
        if self._switch().celery_ratio == self.to_ratio and self.foresee().nothing:
            return None
        state = State(self.direction, self.to_ratio, time.time())
        with self.env.store.read() as connection:
            state.before = statements.count(connection, state.started_at)
        state.before |= self._messages()
        return state

    def _switch(self) -> routing.Switch:
        with self.env.store.read() as connection:
            return routing.read_switch(connection, self.env.settings)

    def _step(self, state: State, name: str, act: Callable[[], str | None] | None) -> None:
        """Do a step, note it before and after, and only then say what it did: who reads it may rely on it."""
        if act is None:
            return
        state.step = name
        self._save(state)
        began = time.monotonic()
        with _broker_errors():
            told = act()
        self._save(state)
        logger.info("migration %s: %s took %.1f s", state.id, name, time.monotonic() - began)
        if told:
            self.tell(told)

    def _save(self, state: State) -> None:
        state.moved = dict(self.moved)
        with self.env.store.write() as connection:
            facts.put(self.env.store, connection, FACT, asdict(state), time.time())

    def _turn(self) -> str | None:
        """New documents go to the target; producers and workers follow within seconds."""
        if self._switch().celery_ratio == self.to_ratio:
            return None
        with self.env.store.write() as connection:
            routing.turn_switch(self.env.store, connection, routing.Switch(self.to_ratio, time.time()))
        time.sleep(routing.FOLLOWED_AFTER + 0.5)
        return f"switch: {self.to_ratio:.0%} of new documents go to Celery, the rest to RQ"

    def _stop(self, state: State) -> str:
        state.paused_at = state.paused_at or time.time()
        state.consumers = state.consumers or self.source.stop_intake()
        if state.consumers:  # again, if they were cancelled by a move that was killed: a worker may have restarted
            self.source.stop_intake()
        return f"workers of {self.source.name} take nothing new"

    def _wait_for_running(self) -> str:
        deadline, told = time.monotonic() + self.wait, -1
        while running := len(self.source.running()):
            left = deadline - time.monotonic()
            if left <= 0:
                return f"{running} tasks still run on {self.source.name}; going on without them: leases decide"
            if running != told:
                self.tell(f"waiting for {running} running tasks, at most {left:.0f} s more")
                told = running
            time.sleep(0.5)
        return f"nothing of ours runs on {self.source.name}"

    def _move_runs(self) -> str | None:
        with self.env.store.read() as connection:
            listed = [row for row in statements.unfinished(connection, self.source.name) if self._belongs_there(row)]
        for start in range(0, len(listed), PAGE):
            with self.env.store.write() as connection:
                for row in listed[start : start + PAGE]:
                    given = statements.give(connection, row.run_id, source=self.source.name, target=self.target.name)
                    self.moved["runs"] += given
        return f"{len(listed)} unfinished runs given to {self.target.name}" if listed else None

    def _move_messages(self) -> None:
        running, reserved = self.source.running(), self.source.reserved()
        items = [item for item in self.source.items() if item.kind in (RUN, SINGLE) and item.id not in running]
        there = [item for item in items if self._is_to_move(item)]
        self.source.forget({item.id for item in there} & reserved)
        old = [item for item in there if item.kind == RUN]
        for start in range(0, len(old), PAGE):
            self.moved["messages"] += self.source.drop(old[start : start + PAGE])
        for item in there:
            if item.kind == SINGLE:
                self.source.claim(item)
        for item in list(self.source.held()):
            if take_over(self.env, item, self.target):
                self.moved["singles"] += 1
            self.source.release(item)

    def _publish(self) -> None:
        """Send what was given; noted before it is sent, so that a sweep of the target does not send it too."""
        there, name = engine(self.target.name), self.target.name
        while entries := self._read(statements.without_entry, name):
            for row in entries:
                with self.env.store.write() as connection:
                    runs.mark_published(connection, row.run_id, time.time())
                there.publish(row.document_id, row.run_id, row.lane)
        while planned := self._read(statements.without_batches, name):
            for row in planned:
                with self.env.store.write() as connection:
                    numbers = statements.numbers_to_send(connection, row.run_id)
                    statements.mark_sent(connection, row.run_id, numbers, time.time())
                there.publish_batches(row.document_id, row.run_id, numbers, row.lane)

    def _read(self, statement: Callable[..., list[Any]], name: str) -> list[Any]:
        with self.env.store.read() as connection:
            return statement(connection, name, PAGE)

    def _resume(self, state: State) -> None:
        """Foreign tasks, and messages from producers without the store, find workers again."""
        with suppress(RedisError, OperationalError, OSError):  # the next call gives them back
            self.source.resume_intake(state.consumers)
        self.paused_seconds = time.time() - state.paused_at if state.paused_at else 0.0
        self.tell(f"workers of {self.source.name} take what comes again")

    # -- after

    def _verify(self, state: State) -> Outcome:
        left = self.foresee()
        with self.env.store.read() as connection:
            after = statements.count(connection, state.started_at)
        problems = []
        if after["runs"] < state.before["runs"]:
            problems.append(f"{state.before['runs'] - after['runs']} runs that were there before are not in the store")
        if left.runs:
            problems.append(f"{left.runs} unfinished runs are on {self.source.name}: run this command again")
        if left.messages or left.singles or left.held:
            waiting = left.messages + left.singles + left.held
            problems.append(f"{waiting} of our messages wait on {self.source.name}: run this command again")
        state.step = "done"
        state.finished_at = None if problems else time.time()
        self._save(state)
        return self._outcome(
            state.before, after | self._messages(), left.foreign, tuple(problems), time.time() - state.started_at
        )

    def _unchanged(self) -> Outcome:
        with self.env.store.read() as connection:
            counts = statements.count(connection) | self._messages()
        return self._outcome(counts, counts, self.foresee().foreign, (), 0.0, unchanged=True)

    def _outcome(
        self,
        before: dict[str, int],
        after: dict[str, int],
        foreign: dict[str, int],
        problems: tuple[str, ...],
        seconds: float,
        *,
        unchanged: bool = False,
    ) -> Outcome:
        return Outcome(
            direction=self.direction,
            to_ratio=self.to_ratio,
            unchanged=unchanged,
            before=before,
            after=after,
            moved=dict(self.moved),
            foreign=foreign,
            problems=problems,
            seconds=round(seconds, 1),
            paused_seconds=round(self.paused_seconds, 1),
        )

    def _messages(self) -> dict[str, int]:
        """Messages of ours that wait on each side, and of others."""
        counts = {f"{kind} messages on {name}": 0 for name in (CELERY, RQ) for kind in ("our", "foreign")}
        for side in (self.source, self.target):
            for item in side.items():
                if item.kind != UPKEEP:
                    counts[f"{'foreign' if item.kind == FOREIGN else 'our'} messages on {side.name}"] += 1
        return counts


def last_move(env: Environment) -> State | None:
    """The move under way, or the last one."""
    with env.store.read() as connection:
        value = facts.get(connection, FACT)
    return None if value is None else State(**value)


@contextmanager
def _broker_errors() -> Iterator[None]:
    try:
        yield
    except (RedisError, OperationalError) as error:
        raise BrokerUnreachable(
            f"Redis went away ({type(error).__name__}); what was moved is moved, run the same command again when it is"
            " back"
        ) from error


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))
