"""The Celery tasks: envelopes around the stages. Each unpacks, calls one plain function, packs."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from celery import Task
from celery.canvas import Signature, signature
from celery.exceptions import Ignore
from celery.result import AsyncResult
from kombu.utils.functional import maybe_list
from kombu.utils.json import dumps

from . import names, pipelines
from .announcements import deliver_ending, send_callback, send_result, settle, tell
from .base_task import BaseTask
from .celery import app
from .dispatch import enter, submit
from .errors import InvalidChunks, InvalidInput, StoreUnavailable, TransientError
from .models import Json, Lane
from .stages import delivery, files, generation, planning, rescan, single
from .stages.environment import Environment, environment
from .stages.finish import finish
from .stages.ingest import submission_of_file
from .stages.sinking import feed, remove
from .stages.validation import valid_lane
from .transport import BROKER_AWAY, GIVEN_BACK

logger = logging.getLogger(__name__)

#: The store counts the deaths of its process: at the hard time limit its message goes back (`base_task`).
_COUNTED: dict[str, Any] = {"acks_on_timeout": False}

#: The store is away for longer than a stage waits: the message goes back, with a short pause.
_PATIENT: dict[str, Any] = {
    "autoretry_for": (StoreUnavailable,),
    "retry_backoff": 2,
    "retry_backoff_max": 10,
    "retry_jitter": True,
    "max_retries": None,
}


class PipelineTask(BaseTask):
    """The entry: `delay` and `apply_async` validate and store in the caller, then publish ids only."""

    abstract = True

    def apply_async(self, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> AsyncResult[Any]:
        """The run's AsyncResult. Raises InvalidInput for what cannot be taken; nothing is stored then."""
        # a message of ours with ids only, or one with chunks that goes back because the store is away
        if "run_id" in (kwargs or {}) or options.get("retries"):
            published: AsyncResult[Any] = super().apply_async(args, kwargs, *more, **options)
            return published
        wish = _wish_of(args or (), kwargs or {})
        env = environment()
        admission = submit(
            env.store,
            env.settings,
            callbacks=_told(options, wish["lane"]),
            run_id=options.get("task_id") or None,
            **wish,
        )
        result: AsyncResult[Any] = self.AsyncResult(admission.run_id)
        return result


def _wish(document_id: Any, chunks: Any = None, lane: str = Lane.BULK, force: bool = False) -> Json:
    return {"document_id": document_id, "chunks": chunks, "lane": lane, "force": force}


def _wish_of(args: Any, kwargs: Any) -> Json:
    """What the task is called with, refused where the call does not fit."""
    try:
        inspect.signature(_wish).bind(*args, **kwargs)
    except TypeError as error:
        takes = ", ".join(inspect.signature(_wish).parameters)
        raise InvalidInput(f"process_document_pipeline: {error}; it takes {takes}") from None
    return _wish(*args, **kwargs)


def _told(options: Json, lane: Any) -> list[Json]:
    """Who is told of the end, by a message's options: links, what follows in a chain, a chord."""
    return [*callbacks_of(options.get("link")), *_rest_of(options.get("chain")), *_place_in_chord(options, lane)]


def callbacks_of(link: Any) -> list[Json]:
    """Signatures as they can be stored; they are called with the final dict at the true end."""
    return [_callback(signature) for signature in maybe_list(link) or ()]


def _callback(given: Any) -> Json:
    try:
        strays = list(_strays(given))
    except (AttributeError, KeyError, TypeError):
        raise InvalidInput(
            f"link: must be a signature (task.s(…)) or a list of them, not {type(given).__name__}"
        ) from None
    if strays:
        raise InvalidInput(
            f"link: task {strays[0]} is none of this application's;"
            " give its signature the queue that your workers serve: .set(queue=…)"
        )
    return _storable(given)


def _strays(given: Any, queue: Any = None) -> Iterator[str]:
    """Another application's tasks that we would send to our own queues: whose signature has no queue.

    A group hands its ``queue`` on to all its tasks, a chord to its header, a chain to its first task.
    """
    options, parts = given["options"], given["kwargs"]
    queue = queue or options.get("queue")
    match given.get("subtask_type"):
        case "group":
            yield from chain.from_iterable(_strays(task, queue) for task in parts["tasks"])
        case "chord":
            yield from chain.from_iterable(_strays(task, queue) for task in maybe_list(parts["header"]))
            yield from _strays(parts["body"])
        case "chain":
            yield from _strays_in_a_row(parts["tasks"], queue)
        case _ if not _is_foreign(given):
            yield from _strays_in_a_row(reversed(options.get("chain") or ()))
        case _ if not queue:
            yield given["task"]


def _strays_in_a_row(tasks: Iterable[Any], queue: Any = None) -> Iterator[str]:
    """Of tasks one after the other: what comes after another application's is sent by that one's workers."""
    for task in tasks:
        yield from _strays(task, queue)
        if _is_foreign(task):
            return
        queue = None


def _is_foreign(task: Any) -> bool:
    """Whether it is another application's; Celery shares tasks, so that here, but not to our workers, it is known."""
    return getattr(task, "_app", None) not in (None, app) or task["task"] not in app.tasks


def _storable(link: Json) -> Json:
    """As Celery would send it: a datetime, say, is a dict that its JSON turns back; refused is what it cannot send."""
    try:
        written = dumps(dict(link), allow_nan=False, ensure_ascii=False)
        written.encode()  # no half characters
    except (TypeError, ValueError, RecursionError):
        raise InvalidInput(
            f"link: {link['task']} has arguments or options that JSON cannot hold;"
            " give it texts, numbers (no NaN), lists, dicts, dates, UUIDs"
        ) from None
    stored: Json = json.loads(written)
    return stored


def _rest_of(steps: Sequence[Any] | None) -> list[Json]:
    """What follows in a chain, the last one first, as a callback that goes on with what follows itself."""
    if not steps:
        return []
    *after, following = steps
    step = signature(following).clone()
    step.options["chain"] = after
    return callbacks_of(step)


def _place_in_chord(options: Json, lane: Any) -> list[Json]:
    """A task that returns the final dict takes the run's place in its chord; by its id a second one counts once.

    It goes where the run's end goes: workers of that lane alone bring the chord to its end.
    """
    if not options.get("chord"):
        return []
    place = {key: options.get(key) for key in ("chord", "group_id", "group_index")}
    own_id = str(uuid5(NAMESPACE_OID, f"{options.get('task_id')} in {place['group_id']}"))
    queue = names.queue_of(names.POSTPROCESS_RESULTS, lane)
    return callbacks_of(app.signature("celery.accumulate", kwargs={"index": 0}, queue=queue, task_id=own_id, **place))


@app.task(base=PipelineTask, bind=True, name=names.PROCESS_DOCUMENT_PIPELINE, **_PATIENT, **_COUNTED)
def process_document_pipeline(
    self: Task[Any, Any],
    document_id: str,
    chunks: Any = None,
    lane: str = Lane.BULK,
    force: bool = False,
    *,
    run_id: str | None = None,
) -> Any:
    """Give a document's chunks their metadata; ends with the final result as a dict.

    A document of one batch is done right here; a larger one is replaced by its pipeline.
    """
    env = environment()
    if run_id is None:
        told = _told(self.request.as_execution_options(), lane)
        run_id = _admit(self, env, told, **_wish(document_id, chunks, lane, force))
        self.request.chain = self.request.chord = None  # as the links
        if self.request.id not in (None, run_id):
            raise Ignore("the same is under way: its end is this task's, too")
    run = planning.look(env, run_id)
    if run.total > env.settings.max_batch:
        return _replace(self, pipelines.document_pipeline(document_id, run_id, run.lane))
    plan = planning.plan(env, run_id, again=_again(self), seen=run)
    if len(plan.open) > 1:
        return _replace(self, pipelines.document_pipeline(document_id, run_id, run.lane))
    for number in plan.open:
        generation.run_batch(env, run_id, number)
    return _end(env, run_id, again=_again(self))


def _again(task: Task[Any, Any]) -> bool:
    """Whether this message was delivered before, and not given back by its worker: a process may have died of it."""
    redelivered = (task.request.delivery_info or {}).get("redelivered")
    return bool(redelivered) and not getattr(task.request, GIVEN_BACK, False)


def _replace(task: Task[Any, Any], signature: Signature[Any]) -> Any:
    """Let ``signature`` take this task's place. What the broker does not take, the sweep sends: no failure of ours."""
    try:
        return task.replace(signature)
    except BROKER_AWAY as error:
        logger.warning("not all was sent (%s); the sweep sends the rest", type(error).__name__)
        raise Ignore("the sweep goes on") from error


def _admit(task: Task[Any, Any], env: Environment, told: list[Json], **wish: Any) -> str:
    """The worker's first act for a producer without the store: the same write that `apply_async` makes."""
    _check_size(env, "chunks", wish["chunks"])
    admission = submit(env.store, env.settings, run_id=task.request.id, callbacks=told, entered="celery", **wish)
    task.request.callbacks = None  # they are stored now, and fire at the true end
    return admission.run_id


def _check_size(env: Environment, name: str, chunks: Any) -> None:
    if message_size(chunks) > env.settings.max_message_bytes:
        raise InvalidChunks(
            f"{name}: more than {env.settings.max_message_bytes:,} bytes in a message;"
            " submit where the store can be reached, or hand over a file"
        )


def message_size(chunks: Any) -> int:
    """Bytes of the chunks as JSON: ids, texts, headings and metadata; 0 for what is none, it is refused later."""
    try:
        return len(json.dumps(chunks, ensure_ascii=False, default=str).encode("utf-8", "replace"))
    except (TypeError, ValueError, RecursionError):
        return 0


@app.task(bind=True, name=names.INGEST_FILE, **_PATIENT)
def ingest_file(self: Task[Any, Any], path: str, lane: str = Lane.BULK) -> str:
    """Parse a file below the allowed folders and submit it; returns the run's id."""
    env, file, again = environment(), Path(path), _again(self)
    with rescan.outcome_noted(env, file):
        if again:
            files.count_death(env, str(self.request.id), file)
        parsed = files.parse(env, files.allowed(file, files.roots(env)))
        settings = env.settings
        wish = submission_of_file(
            parsed, generator=settings.generator, options=settings.generator_options, lane=valid_lane(lane)
        )
        admission = enter(env.store, wish)
    if again:
        files.forget_deaths(env, str(self.request.id))
    return admission.run_id


@app.task(bind=True, name=names.PREPROCESS_DOCUMENT, ignore_result=True, **_PATIENT, **_COUNTED)
def preprocess_document(
    self: Task[Any, Any], document_id: str, chunks: Any = None, *, run_id: str | None = None
) -> Json:
    """Plan a run: what has to be generated, in which batches. ``chunks`` only from producers without the store."""
    env = environment()
    if run_id is None:
        try:
            run_id = _admit(self, env, callbacks_of(self.request.callbacks), **_wish(document_id, chunks))
        except InvalidInput as error:  # no result of this task is kept, but who made this chain waits for its end
            self.backend.mark_as_failure(str(self.request.id), error, request=self.request, call_errbacks=False)
            raise
    tell(env, run_id, "preprocessing")
    plan = planning.plan(env, run_id, again=_again(self))
    return {"document_id": plan.document_id, "run_id": run_id, "batches": plan.batches}


@app.task(bind=True, name=names.GENERATE_BATCH_METADATA, **_PATIENT, **_COUNTED)
def generate_batch_metadata(self: Task[Any, Any], preprocess_result: Json) -> Any:
    """Replaced by the chord of the run's open batches, with `postprocess_results` as its body."""
    env, run_id = environment(), preprocess_result["run_id"]
    plan = planning.current_plan(env, run_id, publish=True)
    if not plan.open:
        return _end(env, run_id, again=_again(self))
    tell(env, run_id, "analysis")
    return _replace(self, pipelines.batches(plan.document_id, run_id, plan.open, plan.lane))


@app.task(bind=True, name=names.GENERATE_BATCH, ignore_result=True, **_COUNTED)
def generate_batch(self: Task[Any, Any], run_id: str, number: int, redriven: bool = False) -> int:
    """Work on one batch; returns how many chunks got metadata. Never raises: a chord must not break."""
    env = environment()
    try:
        result = generation.run_batch(env, run_id, number)
    except StoreUnavailable:
        return 0  # still open in the store: the sweep sends it again
    if result.progress is not None and result.progress.may_tell:
        tell(env, run_id, "generation")
    if redriven:
        settle(env, run_id, again=True)
    return result.done


@app.task(bind=True, name=names.POSTPROCESS_RESULTS, **_PATIENT, **_COUNTED)
def postprocess_results(
    self: Task[Any, Any], batch_result: Any = None, document_id: str | None = None, *, run_id: str | None = None
) -> Json:
    """The end of a run, if all its chunks are settled; else the result stays PROGRESS until they are."""
    env = environment()
    if run_id is None:  # a chain of the application's own: the run is in what came before
        run_id = batch_result["run_id"]
    tell(env, run_id, "validation")
    return _end(env, run_id, again=_again(self))


def _end(env: Environment, run_id: str, *, again: bool) -> Json:
    """The final result, as the return value of the task whose id is the run's."""
    ending = finish(env, run_id, announce=False, again=again)
    if ending is None:
        raise Ignore("chunks are still open")
    deliver_ending(env, ending)
    return asdict(ending.result)


@app.task(bind=True, name=names.DELIVER_OUTBOX, ignore_result=True)
def deliver_outbox(self: Task[Any, Any]) -> None:
    """Empty the outbox of what is due."""
    handlers = {"result": send_result, "callback": send_callback, "sink": feed, "sink_delete": remove}
    delivery.deliver(environment(), handlers)


@app.task(bind=True, name=names.GENERATE_METADATA_FOR_CHUNK, **_PATIENT, **_COUNTED)
def generate_metadata_for_chunk(self: Task[Any, Any], chunk_id: str, chunk_text: str | None, document_id: str) -> Json:
    """Metadata of one chunk, stored beside its document's others; returns it with ``status``."""
    env = environment()
    try:
        return single.generate_one(env, document_id, chunk_id, chunk_text, again=_again(self))
    except StoreUnavailable:
        raise
    except TransientError as error:  # the store counts the tries; a message that waits longer would come twice
        pause = min(error.retry_after or 0.0, env.settings.visibility_timeout / 2)
        raise self.retry(exc=error, countdown=pause, max_retries=None) from None


@app.task(bind=True, name=names.BATCH_METADATA_GENERATION, **_PATIENT)
def batch_metadata_generation(self: Task[Any, Any], chunk_data_list: list[Json]) -> Json:
    """Add chunks (``chunk_id``, ``text``, ``document_id``) to their documents; one run a document is submitted."""
    env = environment()
    _check_size(env, "chunk_data_list", chunk_data_list)
    runs = {
        document_id: submit(env.store, env.settings, document_id, chunks, additive=True).run_id
        for document_id, chunks in single.by_document(chunk_data_list, env.settings).items()
    }
    return {"batch_id": self.request.id, "task_count": len(chunk_data_list), "status": "submitted", "runs": runs}
