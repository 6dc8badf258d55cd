"""The end of a run is one function: whoever calls it, and however often, a document ends once and truthfully."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row

from ..errors import StoreUnavailable, UnknownRun
from ..metadata import describe
from ..models import TERMINAL, ChunkState, DocumentContext, DocumentMetadata, FinalResult, Json, RunStatus
from ..store import admission, runs
from ..store import outbox as mail
from ..store.rows import chunk_of, metadata_of
from .environment import Environment
from .lease import ENDING, Refusal, give_back, renewing, take_step
from .outcomes import valid_description

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """What ``finish`` found or made."""

    result: FinalResult
    #: True for the one caller that ended the run.
    made: bool
    #: Whether it left a result or callbacks in the outbox.
    letters: bool = False


def finish(env: Environment, run_id: str, *, announce: bool = True, again: bool = False) -> Ending | None:
    """End the run if all its chunks are settled, else None.

    One transaction sets the run's and the document's status, deletes chunks that the run does not list, and puts
    callbacks, sinks and (``announce``) the result into the outbox. ``announce=False`` is for a task whose return
    value is the run's result: Celery stores it, and delivers the message again if the process dies before.
    ``again``: an earlier try may have died, so this one is made under a lease.
    """
    with env.store.read() as connection:
        run = runs.get(connection, run_id)
        if run is None:
            raise UnknownRun(f"run {run_id} is not in the store; it may have expired")
        if run.status in TERMINAL:
            return Ending(result_of(run), made=False)
        if run.stage == "queued" or runs.has_open_batches(connection, run_id):
            return None
    summary = _describe_under_lease(env, run) if again else _describe(env, run)
    if summary is None:
        return None
    with env.store.write() as connection:
        ending = _end(env, connection, run, summary, announce)
        if ending is not None:
            return ending
        ended = runs.get(connection, run_id)
    if ended is not None and ended.status in TERMINAL:
        return Ending(result_of(ended), made=False)  # somebody was faster
    return None


def result_of(run: Row[Any]) -> FinalResult:
    """The final result that a row of ``runs`` tells; ``final_status`` is the current status of one under way."""
    end = run.finished_at or time.time()
    return FinalResult(
        document_id=run.document_id,
        run_id=run.run_id,
        final_status=run.status,
        processed_chunks=run.done + run.unchanged,
        failed_chunks=run.failed,
        unchanged_chunks=run.unchanged,
        seconds=round(end - run.created_at, 3),
    )


def final_status(total: int, processed: int, failed: int) -> RunStatus:
    """The status that the counts make."""
    if total == 0:
        return RunStatus.EMPTY
    if failed == 0:
        return RunStatus.COMPLETED
    return RunStatus.COMPLETED_WITH_ERRORS if processed else RunStatus.FAILED


def end_early(
    connection: Connection, run: Row[Any], status: RunStatus, reason: str, now: float, *, feed: bool = False
) -> bool:
    """End a run that is not finished (cancelled, superseded, broken), in the caller's transaction.

    ``feed``: the sink gets the document as it is; an entry of an earlier run may have left that to this one.
    """
    admission.hold_document(connection, run.document_id)
    ended = runs.end(connection, run.run_id, {"status": status, "error": reason, "finished_at": now})
    if ended is None:
        return False
    runs.set_document(connection, run.document_id, run.run_id, {"status": status, "updated_at": now})
    admission.drop_batches(connection, run.run_id)
    _announce(connection, ended, result_of(ended), now, with_result=True)
    if feed:
        _feed_sink(connection, ended, [], now)
    return True


def join(connection: Connection, run: Row[Any], listeners: Sequence[Json | str], now: float) -> None:
    """Tell these of the run's end, too, at once if it has ended; who is told already is not told twice.

    A listener is a callback (a serialized signature), or a task id under which the result is waited for.
    """
    new = [listener for listener in listeners if listener not in run.callbacks]
    if not new:
        return
    admission.set_callbacks(connection, run.run_id, [*run.callbacks, *new])
    if run.status in TERMINAL:
        mail.put(connection, _letters(run, new, result_of(run)), now)


def _describe_under_lease(env: Environment, run: Row[Any]) -> DocumentMetadata | None:
    """None while somebody else is at it; the title only, if ``describe()`` has killed processes."""
    lease = take_step(env, run.run_id, ENDING)
    if isinstance(lease, Refusal):
        return None
    if lease.deaths >= env.settings.max_attempts:
        logger.error("describe() of run %s killed %d processes; the document keeps its title", run.run_id, lease.deaths)
        return DocumentMetadata(title=run.title)
    try:
        with renewing(env, lease):
            summary = _describe(env, run)
    except Exception:
        give_back(env, lease)
        raise
    give_back(env, lease)  # not after a SystemExit: the next one shall see that somebody died on it
    return summary


def _describe(env: Environment, run: Row[Any]) -> DocumentMetadata:
    """The document's metadata from its chunks', read in pages: memory stays flat."""
    document = DocumentContext(run.document_id, run.title, run.language or "", run.source or "")
    with env.store.read() as connection:
        rows = runs.finished_chunks(connection, run.document_id, run.run_id)
        pairs = ((chunk_of(row), metadata_of(row.meta, row.tokens)) for row in rows)
        try:
            return valid_description(describe(env.generator(run.generator, run.options), document, pairs))
        except StoreUnavailable:
            raise  # the end waits
        except Exception:  # somebody else's generator, or none here: it costs the document's summary, not its end
            logger.exception("describe() of run %s failed; the document keeps its title only", run.run_id)
            return DocumentMetadata(title=run.title)


def _end(
    env: Environment, connection: Connection, run: Row[Any], summary: DocumentMetadata, announce: bool
) -> Ending | None:
    admission.hold_document(connection, run.document_id)
    counts = runs.count_states(connection, run.document_id, run.run_id)
    if counts.get(ChunkState.PENDING, 0):
        return None
    now = time.time()
    values = _end_values(counts, run, now)
    ended = runs.end(connection, run.run_id, values)
    if ended is None:
        return None
    runs.set_document(connection, run.document_id, run.run_id, _document_values(run, summary, values["status"], now))
    removed = runs.drop_left_over_chunks(connection, run.document_id, run.run_id)
    admission.drop_batches(connection, run.run_id)
    result = result_of(ended)
    letters = _announce(connection, ended, result, now, with_result=announce)
    if env.settings.sink:
        _feed_sink(connection, ended, removed, now)
    return Ending(result, made=True, letters=letters)


def _end_values(counts: Mapping[str, int], run: Row[Any], now: float) -> Json:
    processed = counts.get(ChunkState.DONE, 0)
    failed = counts.get(ChunkState.FAILED, 0) + counts.get(ChunkState.QUARANTINED, 0)
    total = processed + failed + counts.get(ChunkState.DISCARDED, 0)
    return {
        "status": final_status(total, processed, failed),
        "total": total,
        "done": max(0, processed - run.unchanged),
        "failed": failed,
        "finished_at": now,
    }


def _document_values(run: Row[Any], summary: DocumentMetadata, status: str, now: float) -> Json:
    return {
        "status": status,
        "title": summary.title,
        "summary": summary.summary,
        "topics": list(summary.topics),
        "language": summary.language,
        "generator": run.generator,
        "fingerprint": run.fingerprint,
        "updated_at": now,
    }


def _announce(connection: Connection, run: Row[Any], result: FinalResult, now: float, *, with_result: bool) -> bool:
    """Whether there is anybody to tell."""
    rows = _letters(run, run.callbacks, result)
    if with_result:
        address = {"document_id": run.document_id, "run_id": run.run_id}
        rows.append({"kind": "result", "payload": asdict(result), **address})
    mail.put(connection, rows, now)
    return bool(rows)


def _letters(run: Row[Any], listeners: Sequence[Json | str], result: FinalResult) -> list[Json]:
    address = {"kind": "callback", "document_id": run.document_id, "run_id": run.run_id}
    return [
        {"payload": {"task_id" if isinstance(to, str) else "signature": to, "result": asdict(result)}, **address}
        for to in listeners
    ]


def _feed_sink(connection: Connection, run: Row[Any], removed: list[str], now: float) -> None:
    address = {"document_id": run.document_id, "run_id": run.run_id}
    rows: list[Json] = [{"kind": "sink", "payload": {}, **address}]
    if removed:
        rows.append({"kind": "sink_delete", "payload": {"chunk_ids": removed}, **address})
    mail.put_for_sink(connection, rows, now)
