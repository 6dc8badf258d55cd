"""The RQ jobs: envelopes around the stages, as `tasks` has them for Celery. Run in a work horse, never inline.

A job that raises is tried again by RQ (`queues.RETRY_AFTER`); what it leaves open in the store, the sweep sends again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rq import get_current_job

from .. import announcements, pipelines
from ..dispatch import enter, submit
from ..models import Json, Lane
from ..names import DELIVER_OUTBOX, RQ
from ..stages import delivery, files, generation, maintenance, planning, single
from ..stages.environment import Environment, environment
from ..stages.finish import finish, result_of
from ..stages.ingest import submission_of_file
from ..stages.sinking import feed, remove
from ..stages.validation import valid_lane
from . import engine
from .limits import time_limits
from .queues import send

#: In a job's ``meta``: the Celery task id under which its result is waited for.
CELERY_TASK_ID = "celery_task_id"

_HANDLERS: dict[str, delivery.Handler] = {
    "result": announcements.send_result,
    "callback": announcements.send_callback,
}


def process_document_pipeline(
    document_id: str, chunks: Any = None, lane: str = Lane.BULK, force: bool = False, *, run_id: str | None = None
) -> Json:
    """Plan a run and send its batches; one of a single batch is done right here. Returns what the run is then."""
    env = environment()
    if run_id is None:  # from a producer without the store
        run_id = _admit(env, document_id, chunks, lane, force)
    plan = planning.plan(env, run_id)
    if len(plan.open) > 1:
        announcements.tell(env, run_id, "preprocessing")
        now_open = planning.current_plan(env, run_id, publish=True)
        engine.publish_batches(now_open.document_id, run_id, now_open.open, now_open.lane)
    else:
        for number in plan.open:
            _run_batch(env, run_id, number)
        settle(env, run_id)
    return asdict(result_of(planning.look(env, run_id)))


def _admit(env: Environment, document_id: str, chunks: Any, lane: str, force: bool) -> str:
    job = get_current_job()
    admission = submit(
        env.store,
        env.settings,
        document_id,
        chunks,
        lane=lane,
        force=force,
        run_id=job.id if job else None,
        entered=RQ,
    )
    return admission.run_id


def ingest_file(path: str, lane: str = Lane.BULK) -> str:
    """Parse a file below the allowed folders and submit it; returns the run's id."""
    env = environment()
    parsed = files.parse(env, files.allowed(Path(path), files.roots(env)))
    settings = env.settings
    wish = submission_of_file(
        parsed, generator=settings.generator, options=settings.generator_options, lane=valid_lane(lane)
    )
    return enter(env.store, wish).run_id


def generate_batches(run_id: str, numbers: list[int]) -> Json:
    """Work on some batches of a run; whoever does the last one ends the run. Returns how many had which outcome."""
    env, outcomes = environment(), Counter[str]()
    for number in numbers:
        result = _run_batch(env, run_id, number)
        outcomes[result.outcome] += 1
        if result.progress is not None and result.progress.may_tell:
            announcements.tell(env, run_id, "generation")
    settle(env, run_id)
    return dict(outcomes)


def _run_batch(env: Environment, run_id: str, number: int) -> generation.BatchResult:
    with time_limits(env.settings.soft_time_limit, env.settings.time_limit):
        return generation.run_batch(env, run_id, number)


def settle(env: Environment, run_id: str) -> bool:
    """End a run if it can be ended, and tell those who wait; True if it has ended."""
    ending = finish(env, run_id)
    if ending is None:
        return False
    if ending.made:
        delivery.deliver(env, _HANDLERS, run_id=run_id)
        if env.settings.sink:
            send(engine.connection(), DELIVER_OUTBOX, [], description="")
    return True


def deliver_outbox() -> Json:
    """Empty the outbox of what is due, sinks included."""
    sent, put_off = delivery.deliver(environment(), _HANDLERS | {"sink": feed, "sink_delete": remove})
    return {"sent": sent, "put_off": put_off}


def generate_metadata_for_chunk(chunk_id: str, chunk_text: str | None, document_id: str) -> Json:
    """Metadata of one chunk, stored beside its document's others; ``chunk_text`` None: the text that is stored."""
    env = environment()
    with time_limits(env.settings.soft_time_limit, env.settings.time_limit):
        answer = single.generate_one(env, document_id, chunk_id, chunk_text)
    if env.settings.payload_key_list:  # Celery's results are encrypted then, RQ's cannot be: it stays in the store
        answer.pop("result", None)
    job = get_current_job()
    if job is not None and CELERY_TASK_ID in job.meta:  # moved here from Celery: somebody may wait there
        pipelines.store_result(job.meta[CELERY_TASK_ID], answer)
    return answer


def batch_metadata_generation(chunk_data_list: list[Json]) -> Json:
    """Add chunks (``chunk_id``, ``text``, ``document_id``) to their documents; one run a document is submitted."""
    env = environment()
    runs = {
        document_id: submit(env.store, env.settings, document_id, chunks, additive=True).run_id
        for document_id, chunks in single.by_document(chunk_data_list, env.settings).items()
    }
    return {"task_count": len(chunk_data_list), "status": "submitted", "runs": runs}


def sweep() -> Json:
    """Send again what was lost of RQ's runs, end what is settled."""
    env, redis = environment(), engine.connection()

    def queue_length(name: str) -> int:
        return int(redis.llen(f"rq:queue:{name}"))

    found = maintenance.sweep(env, RQ, queue_length)
    for item in found.redrives:
        if item.numbers is None:
            engine.publish(item.document_id, item.run_id, item.lane)
        else:
            engine.publish_batches(item.document_id, item.run_id, item.numbers, item.lane)
    for run_id in found.settled:
        with maintenance.alone(f"run {run_id}"):
            settle(env, run_id)
    if found.outbox:
        deliver_outbox()
    return {"redriven": len(found.redrives), "settled": len(found.settled), "outbox": found.outbox}
