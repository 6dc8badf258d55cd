"""The values of a move between the sides, and what a side must be able to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from ..errors import SmartRagError
from .items import Item


class NoWorkers(SmartRagError):
    """No worker consumes on the side that is moved to: start some, or give --force."""

    exit_code = 3


class CanaryFailed(SmartRagError):
    """The canary document did not come through on the side that is moved to; nothing was changed."""

    exit_code = 4


class Side(Protocol):
    """What a move needs of either side; see `celery_side` and `rq_side`."""

    name: str

    @property
    def readable(self) -> bool: ...
    def check(self) -> None: ...
    def consumers(self) -> dict[str, int]: ...
    def stop_intake(self) -> dict[str, list[str]]: ...
    def resume_intake(self, _before: Mapping[str, list[str]], /) -> None: ...
    def running(self) -> set[str]: ...
    def reserved(self) -> set[str]: ...
    def forget(self, _ids: Iterable[str], /) -> None: ...
    def items(self) -> Iterable[Item]: ...
    def drop(self, items: list[Item], /) -> int: ...
    def claim(self, item: Item, /) -> bool: ...
    def held(self) -> Iterable[Item]: ...
    def release(self, item: Item, /) -> None: ...
    def send(self, item: Item, /) -> None: ...


@dataclass
class State:
    """A move as the store has it."""

    direction: str
    to_ratio: float
    started_at: float
    id: str = field(default_factory=lambda: uuid4().hex[:12])
    step: str = ""
    before: dict[str, int] = field(default_factory=dict)
    #: Consumers that were cancelled, to be given back.
    consumers: dict[str, list[str]] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=dict)
    #: When the side that is left was first told to take nothing new; 0.0: not yet.
    paused_at: float = 0.0
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a move would do, or has left to do."""

    runs: int
    messages: int
    singles: int
    held: int
    #: Functions on the same queues that are not ours, and how many.
    foreign: dict[str, int]

    @property
    def nothing(self) -> bool:
        """Whether all is where it belongs."""
        return not (self.runs or self.messages or self.singles or self.held)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a move."""

    direction: str
    to_ratio: float
    #: Everything was where it belongs already.
    unchanged: bool
    before: dict[str, int]
    after: dict[str, int]
    moved: dict[str, int]
    foreign: dict[str, int]
    #: What is not as it should be; empty: verified.
    problems: tuple[str, ...]
    #: From its beginning to its end, the time that it was broken off for included.
    seconds: float
    #: Seconds for which the losing side's workers took nothing new, the time that the move was broken off for included.
    paused_seconds: float
