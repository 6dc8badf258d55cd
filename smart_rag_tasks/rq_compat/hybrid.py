"""The requirements document's HybridTaskManager: RQ and Celery side by side, one document always on one side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..dispatch import engine, submit
from ..models import TERMINAL, FinalResult, Json, Lane
from ..names import CELERY, GENERATE_METADATA_FOR_CHUNK, queue_of
from ..settings import Settings, get_settings
from ..stages import planning, routing
from ..stages.environment import Environment
from ..stages.finish import result_of
from ..stages.validation import valid_document_id
from ..store import open_store


@dataclass(frozen=True, slots=True)
class SubmittedRun:
    """A run under way, the same whichever side works on it; its truth is in the store."""

    document_id: str
    run_id: str
    #: ``celery`` or ``rq``: where it was sent. A migration may move it.
    engine: str
    _env: Environment

    @property
    def id(self) -> str:
        """The run's id: of its AsyncResult, and of its RQ job."""
        return self.run_id

    @property
    def state(self) -> str:
        """``queued``, ``running``, ``completed``, …"""
        return str(planning.look(self._env, self.run_id).status)

    def get(self, timeout: float | None = None) -> FinalResult:
        """The end of the run; TimeoutError when it has not come within ``timeout`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            run = planning.look(self._env, self.run_id)
            if run.status in TERMINAL:
                return result_of(run)
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"run {self.run_id} is {run.status} ({run.stage}); it goes on")
            time.sleep(0.05)


class HybridTaskManager:
    """Submits each document to the side that a stable hash of its id says, and stores that with the run.

    The switch in the store (`smart-rag-tasks migrate`) goes before ``use_celery_ratio``, which goes before the
    environment. InvalidInput for a ratio that is not within 0…1.
    """

    def __init__(self, use_celery_ratio: float | None = None, settings: Settings | None = None) -> None:
        settings = settings or get_settings()
        if use_celery_ratio is not None:
            settings = settings.model_copy(update={"celery_ratio": routing.parse_ratio(use_celery_ratio)})
        self.settings = settings
        self.env = Environment(settings, open_store(settings.store_url))

    @property
    def use_celery_ratio(self) -> float:
        """The ratio that holds now."""
        return routing.current_switch(self.env.store, self.settings).celery_ratio

    def engine_of(self, document_id: str) -> str:
        """The side that a new run of this document goes to: ``celery`` or ``rq``."""
        return routing.choose(self.env.store, self.settings, document_id)

    def submit_task(
        self, document_id: str, chunks: Sequence[Json] | None = None, *, lane: str = Lane.BULK, force: bool = False
    ) -> SubmittedRun:
        """Store the document and start its run on its side; InvalidInput for what cannot be taken."""
        made = submit(self.env.store, self.settings, document_id, chunks, lane=lane, force=force)
        return SubmittedRun(made.document_id, made.run_id, made.engine, self.env)

    def submit_chunk(self, chunk_id: str, chunk_text: str, document_id: str) -> Any:
        """One chunk by itself, as `generate_metadata_for_chunk`: an AsyncResult, or an RQ job."""
        side = self.engine_of(valid_document_id(document_id))
        engine(side)  # says which package is missing
        if side == CELERY:
            from ..celery import app

            task = GENERATE_METADATA_FOR_CHUNK
            return app.send_task(task, (chunk_id, chunk_text, document_id), queue=queue_of(task))
        from .singles import send_chunk

        return send_chunk(self.env, chunk_id, chunk_text, document_id)
