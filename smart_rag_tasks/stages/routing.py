"""Which engine a document's runs go to: the switch in the store, and the one rule that reads it.

A stable hash of the document's id decides, so all runs of a document share a side. The decision is stored with the
run; turning the switch moves nothing that is under way (moving is what ``smart-rag-tasks migrate`` does).
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection

from ..errors import InvalidInput
from ..names import CELERY, RQ
from ..settings import Settings
from ..store import Store, facts, runs

#: The fact that holds the switch.
SWITCH: Final = "engine"

#: Seconds for which a process goes by the switch that it read last; who turns it waits that long.
FOLLOWED_AFTER: Final = 2.0


@dataclass(frozen=True, slots=True)
class Switch:
    """How many documents in a hundred, so to speak, are Celery's."""

    #: 0…1; 1.0 and 0.0 hold for every document, whatever it was before.
    celery_ratio: float
    #: Epoch seconds of the last move: runs made before it do not bind their document to a side.
    moved_at: float = 0.0


def parse_ratio(value: object) -> float:
    """A share from 0 to 1; InvalidInput for all else ("yes please", 1.5, nan)."""
    try:
        if isinstance(value, bool):
            raise ValueError
        ratio = float(str(value).strip())
    except ValueError:
        raise InvalidInput(f"ratio: {value!r} is no number; use 0 (all on RQ) to 1 (all on Celery)") from None
    if not 0.0 <= ratio <= 1.0:
        raise InvalidInput(f"ratio: {value} is not between 0 (all on RQ) and 1 (all on Celery)")
    return ratio


def share_of(document_id: str) -> float:
    """The document's own number from 0 (included) to 1 (excluded); the same on every machine, for ever."""
    digest = hashlib.sha256(document_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64


def side_of(document_id: str, celery_ratio: float) -> str:
    """The engine that a document belongs to at this ratio."""
    return CELERY if share_of(document_id) < celery_ratio else RQ


def default_ratio(settings: Settings) -> float:
    """The ratio while nobody has turned the switch: SMART_RAG_CELERY_RATIO, else USE_CELERY as 1 or 0."""
    return float(settings.use_celery) if settings.celery_ratio is None else settings.celery_ratio


def read_switch(connection: Connection, settings: Settings) -> Switch:
    """The switch as the store has it, else as the settings have it."""
    value = facts.get(connection, SWITCH)
    return Switch(default_ratio(settings)) if value is None else Switch(**value)


def turn_switch(store: Store, connection: Connection, switch: Switch) -> None:
    """Set the switch; every process follows within ``FOLLOWED_AFTER`` seconds."""
    facts.put(store, connection, SWITCH, asdict(switch), time.time())


_seen: WeakKeyDictionary[Store, tuple[float, float, Switch]] = WeakKeyDictionary()


def current_switch(store: Store, settings: Settings) -> Switch:
    """The switch, at most ``FOLLOWED_AFTER`` seconds old."""
    known, default = _seen.get(store), default_ratio(settings)
    if known is not None and known[0] > time.monotonic() and known[1] == default:
        return known[2]
    with store.read() as connection:
        switch = read_switch(connection, settings)
    _seen[store] = (time.monotonic() + FOLLOWED_AFTER, default, switch)
    return switch


def choose(store: Store, settings: Settings, document_id: str) -> str:
    """The engine of a new run of this document.

    At a ratio between 0 and 1 a document stays where its newest run was made, unless documents were moved since:
    a re-scan or a retry does not change sides because somebody raised the ratio.
    """
    switch = current_switch(store, settings)
    if 0.0 < switch.celery_ratio < 1.0:
        with store.read() as connection:
            newest = runs.newest_of(connection, document_id)
        if newest is not None and newest.engine in (CELERY, RQ) and newest.created_at > switch.moved_at:
            return str(newest.engine)
    return side_of(document_id, switch.celery_ratio)
