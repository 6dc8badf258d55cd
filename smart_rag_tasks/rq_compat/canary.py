"""A small document of our own goes all the way through a side, before anything else is sent there."""

from __future__ import annotations

import time
from typing import Final

from ..dispatch import dispatch
from ..models import TERMINAL, Chunk, Lane, RunStatus
from ..stages import control, planning
from ..stages.environment import Environment
from ..stages.ingest import Submission, admit
from .moving import CanaryFailed

#: Documents whose ids begin so are ours, and are deleted when they have ended.
PREFIX: Final = "migration-canary-"

_TEXT: Final = "The canary was taken down the mine because it would fall silent before the miners came to harm."


def send_canary(env: Environment, engine: str, *, timeout: float) -> float:
    """Seconds that a document of one chunk took on ``engine``; CanaryFailed when it did not complete in time."""
    settings, began = env.settings, time.monotonic()
    wish = Submission(
        document_id=f"{PREFIX}{engine}-{time.time():.0f}",
        chunks=[Chunk("canary", _TEXT)],
        generator=settings.generator,
        options=settings.generator_options,
        lane=Lane.INTERACTIVE,
        engine=engine,
        force=True,
    )
    admission = admit(env.store, wish)
    try:
        dispatch(admission)
        while (run := planning.look(env, admission.run_id)).status not in TERMINAL:
            if time.monotonic() - began > timeout:
                raise CanaryFailed(
                    f"the canary document is {run.status} ({run.stage}) on {engine} after {timeout:.0f} s: its workers"
                    " do not do our work; look at their log"
                )
            time.sleep(0.05)
        if run.status != RunStatus.COMPLETED:
            raise CanaryFailed(f"the canary document ended as {run.status} on {engine}: {run.error or 'see its chunk'}")
        return time.monotonic() - began
    finally:
        control.delete(env, wish.document_id)
