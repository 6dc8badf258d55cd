"""Every chain, group and chord, read top to bottom; and how a run enters Celery.

    preprocess_document ─► generate_batch_metadata ─► chord(batch 0 … batch n) ─► postprocess_results

Ids travel, text does not. Signatures are made by name: whoever publishes needs no task code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from celery import chord, group
from celery.canvas import Signature

from . import names
from .celery import app
from .models import Lane


def _step(task: str, *args: Any, lane: str, immutable: bool = True, **kwargs: Any) -> Signature[Any]:
    queue = names.queue_of(task, lane)
    return app.signature(task, args=args, kwargs=kwargs, queue=queue, immutable=immutable)


def document_pipeline(document_id: str, run_id: str, lane: str) -> Signature[Any]:
    """What a document of more than one batch goes through; `generate_batch_metadata` is replaced by `batches`."""
    return (
        _step(names.PREPROCESS_DOCUMENT, document_id, run_id=run_id, lane=lane)
        | _step(names.GENERATE_BATCH_METADATA, lane=lane, immutable=False)
    )  # fmt: skip


def batches(document_id: str, run_id: str, numbers: Iterable[int], lane: str) -> chord:
    """The batches side by side, then the end."""
    return chord(
        group(_batch(document_id, run_id, number, lane) for number in numbers),
        _step(names.POSTPROCESS_RESULTS, run_id=run_id, lane=lane),
    )


def _batch(document_id: str, run_id: str, number: int, lane: str, **kwargs: Any) -> Signature[Any]:
    step = _step(names.GENERATE_BATCH, run_id, number, lane=lane, **kwargs)
    step.options.update(argsrepr=f"({document_id[:60]!r}, batch {number})", kwargsrepr="{}")
    step.options["headers"] = {"document_id": document_id, "run_id": run_id, "batch": number}  # for log lines
    return step


# -- the engine "celery": what `dispatch` calls


def publish(document_id: str, run_id: str, lane: str = Lane.BULK) -> None:
    """Send a run's entry message; its task id is the run's id, so ``AsyncResult(run_id)`` is the run."""
    app.send_task(
        names.PROCESS_DOCUMENT_PIPELINE,
        args=[document_id],
        kwargs={"run_id": run_id},
        task_id=run_id,
        queue=names.queue_of(names.PROCESS_DOCUMENT_PIPELINE, lane),
        argsrepr=f"({document_id[:60]!r},)",
        kwargsrepr="{}",
    )


def publish_batches(document_id: str, run_id: str, numbers: Iterable[int], lane: str = Lane.BULK) -> None:
    """Send batches again, outside their chord: each one looks, at its end, whether it was the last."""
    for number in numbers:
        _batch(document_id, run_id, number, lane, redriven=True).apply_async()


def store_result(run_id: str, result: dict[str, Any]) -> None:
    """Give a run's final result to whoever waits for its ``AsyncResult``."""
    app.backend.store_result(run_id, result, "SUCCESS")
