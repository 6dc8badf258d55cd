"""A submission's way in: validated and stored here, in the caller; then the engine gets ids.

The engine is chosen here and nowhere else, and found through the entry-point group ``smart_rag_tasks.engines``:
a module with ``publish(document_id, run_id, lane)``, ``publish_batches(document_id, run_id, numbers, lane)`` and
``store_result(run_id, result)``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Protocol

from .errors import InvalidSettings
from .models import Json
from .settings import Settings, get_settings
from .stages import routing
from .stages.ingest import Admission, Submission, admit
from .stages.validation import valid_chunks, valid_document_id, valid_flag, valid_lane, valid_task_id
from .store import Store

logger = logging.getLogger(__name__)

GROUP = "smart_rag_tasks.engines"


class Engine(Protocol):
    """What moves runs: Celery, or RQ during a rollback."""

    def publish(self, document_id: str, run_id: str, lane: str = ...) -> None:
        """Send a run's entry message."""

    def publish_batches(self, document_id: str, run_id: str, numbers: Iterable[int], lane: str = ...) -> None:
        """Send batches of a run again."""

    def store_result(self, run_id: str, result: Json) -> None:
        """Give a run's final result to whoever waits for it on the engine."""


@cache
def engine(name: str) -> Engine:
    """The engine of that name; InvalidSettings with the pip line when it is not installed."""
    for point in entry_points(group=GROUP, name=name):
        try:
            module: Engine = point.load()
            return module
        except ModuleNotFoundError as error:
            raise InvalidSettings(
                f"engine {name}: {error.name} is not installed; pip install 'smart-rag-tasks[{name}]'"
            ) from None
    raise InvalidSettings(f"engine {name}: there is none of that name")


def submit(
    store: Store,
    settings: Settings,
    document_id: object,
    chunks: object = None,
    *,
    lane: str = "bulk",
    callbacks: Sequence[Json] = (),
    entered: str = "",
    **wishes: Any,
) -> Admission:
    """Validate, store, dispatch. Raises InvalidInput (nothing is stored) or StoreUnavailable.

    ``entered`` names the engine whose message this submission came in: it has the run already.

    If the broker does not answer after the store has it, the document is not lost: the sweep starts it.
    """
    name = valid_document_id(document_id)
    checked = chunks
    if chunks is not None:
        checked = valid_chunks(chunks, max_chars=settings.max_chunk_chars, max_chunks=settings.max_chunks)
    valid_flag("force", wishes.get("force", False))
    if wishes.get("run_id") is not None:
        valid_task_id(wishes["run_id"])
    wishes.setdefault("generator", settings.generator)
    wishes.setdefault("options", settings.generator_options)
    wish = Submission(
        document_id=name,
        chunks=checked,  # type: ignore[arg-type]  # None or what valid_chunks gave
        lane=valid_lane(lane),
        callbacks=callbacks,
        **wishes,
    )
    return enter(store, wish, entered, settings=settings)


def enter(store: Store, wish: Submission, entered: str = "", *, settings: Settings | None = None) -> Admission:
    """Store a submission that was validated, and dispatch its run unless the engine ``entered`` has it."""
    chosen = wish.engine or routing.choose(store, settings or get_settings(), wish.document_id)
    engine(chosen)  # raises, before anything is stored, when it is not installed
    admission = admit(store, replace(wish, engine=chosen))
    if admission.created and admission.engine != entered:
        dispatch(admission)
    return admission


def dispatch(admission: Admission) -> bool:
    """Hand a stored run to its engine; False (and a warning) when the broker does not answer."""
    try:
        engine(admission.engine).publish(admission.document_id, admission.run_id, admission.lane)
    except InvalidSettings:
        raise
    except Exception as error:  # each broker library has errors of its own; the run is in the store
        logger.warning(
            "%s is stored, but the broker did not take run %s (%s); it starts when the broker is back",
            admission.document_id,
            admission.run_id,
            type(error).__name__,
        )
        return False
    return True
