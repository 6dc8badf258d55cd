"""The application's side: submit, follow, cancel. Needs the store and the broker, no task code."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from .dispatch import enter, submit
from .errors import InvalidInput, SmartRagError, UnknownDocument, UnknownRun
from .models import TERMINAL, ChunkState, FinalResult, Json, Lane, RunStatus
from .settings import Settings, get_settings
from .stages import control, files, planning, rescan
from .stages.environment import Environment
from .stages.finish import result_of
from .stages.ingest import Admission, submission_of_file
from .stages.records import chunk_record, document_record
from .stages.validation import valid_lane
from .store import documents as stored
from .store import open_store, outbox, trouble
from .store import runs as stored_runs
from .store.documents import DELETED


class NotFinished(SmartRagError):
    """The run has not ended within the time given; it goes on."""


class Client:
    """Submit documents and follow them: ``Client().submit("manual", chunks)``.

    Every method raises StoreUnavailable when the store does not answer, and InvalidInput for what cannot be taken.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or get_settings()
        self.env = Environment(self.settings, open_store(self.settings.store_url))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back its connections to the store; ``with Client() as client:`` does so at the end."""
        self.env.store.close()

    def submit(
        self, document_id: str, chunks: Sequence[Json] | None = None, *, lane: str = Lane.BULK, force: bool = False
    ) -> Admission:
        """Store the chunks (None: those that are stored) and start a run; its id is in what is returned."""
        return submit(self.env.store, self.settings, document_id, chunks, lane=lane, force=force)

    def submit_file(self, path: Path, *, lane: str = Lane.BULK, engine: str = "") -> Admission:
        """Parse a file here, store its chunks, start a run. Raises DocumentError. ``engine``: "" for the usual one."""
        settings, parsed = self.settings, files.parse(self.env, path)
        wish = submission_of_file(
            parsed,
            generator=settings.generator,
            options=settings.generator_options,
            lane=valid_lane(lane),
            engine=engine,
        )
        return enter(self.env.store, wish)

    def status(self, document_id: str) -> Json:
        """Status, stage and counts of a document's newest run."""
        with self.env.store.read() as connection:
            row = stored.get(connection, document_id)
        if row is None:
            raise UnknownDocument(f"{document_id}: no such document in the store")
        return status_record(row)

    def statuses(self, *, status: str | None = None, limit: int | None = None) -> list[Json]:
        """The same for all documents, or those of one status, the newest first."""
        return list(self.each_status(status=status, limit=limit))

    def each_status(self, *, status: str | None = None, limit: int | None = None) -> Iterator[Json]:
        """The same one by one, read in pages: for more documents than should be in memory."""
        with self.env.store.read() as connection:
            for row in stored.listing(connection, status=status, limit=limit):
                yield status_record(row)

    def under_way(self, document_ids: Sequence[str]) -> set[str]:
        """Those of these documents whose newest run has not ended; one that is not in the store is none of them."""
        with self.env.store.read() as connection:
            return stored.under_way(connection, document_ids)

    def progress(self, run_ids: Sequence[str]) -> tuple[int, int, int]:
        """Of these runs: chunks done, chunks in all, and how many runs have not ended."""
        with self.env.store.read() as connection:
            return stored_runs.totals(connection, run_ids)

    def feeding(self) -> bool:
        """Whether workers still have something to give to the sink; what it refused is not counted."""
        if not self.settings.sink:
            return False
        with self.env.store.read() as connection:
            return outbox.feeding(connection)

    def paused(self, run_ids: Sequence[str]) -> list[str]:
        """Of these runs: the documents of those that are paused."""
        with self.env.store.read() as connection:
            return stored_runs.paused(connection, run_ids)

    def run_status(self, run_id: str) -> Json:
        """A run's own end and counts, whatever came of its document since; `DELETED` if that is. Raises UnknownRun."""
        with self.env.store.read() as connection:
            row = stored.get_run(connection, run_id)
        if row is None:
            raise UnknownRun(f"run {run_id} is not in the store; it may have expired")
        record = status_record(row)
        if record["status"] == DELETED:
            record["reason"] = record["reason"] or "the document was deleted"
        return record

    def summary(self, run_id: str) -> Json:
        """The same with ``keywords`` and ``first_error``."""
        record = self.run_status(run_id)
        key = record["document_id"], run_id
        with self.env.store.read() as connection:
            record["keywords"] = top_keywords(stored.top_keywords(connection, *key), 3)
            record["first_error"] = trouble.first_error(connection, *key) if record["failed"] else ""
        return record

    def result(self, run_id: str, *, timeout: float = 0.0) -> FinalResult:
        """The end of a run, which is waited for ``timeout`` seconds, as is a store that is away; else NotFinished."""
        deadline = time.monotonic() + timeout
        look = partial(planning.look, self.env, run_id)
        while True:
            run = self.env.store.patiently(look, patience=deadline - time.monotonic())
            if run.status in TERMINAL:
                return result_of(run)
            if time.monotonic() >= deadline:
                raise NotFinished(f"run {run_id} is {run.status} ({run.stage}); it goes on, ask again later")
            time.sleep(0.05)

    def counts(self) -> dict[str, int]:
        """How many documents have each status."""
        with self.env.store.read() as connection:
            return stored.count_by_status(connection)

    def document_ids(self) -> list[str]:
        """The ids of all documents, in order."""
        with self.env.store.read() as connection:
            return stored.ids(connection)

    def without_file(self, folders: Iterable[Path]) -> list[str]:
        """Documents that were made from files below these folders, and whose file is not there any more."""
        return sorted({found for folder in folders for found in rescan.left_behind(self.env, folder.resolve())})

    def records(self, document_ids: Iterable[str]) -> Iterator[Json]:
        """The chunks of these documents as records, read in pages."""
        for document_id in document_ids:
            with self.env.store.read() as connection:
                row = stored.get(connection, document_id)
                if row is not None:
                    for chunk in stored.chunk_rows(connection, document_id):
                        yield chunk_record(row, chunk)

    def document(self, document_id: str, *, limit: int | None = None) -> Json:
        """A document's metadata, its chunks with theirs under ``chunks``; ``reason``: why its newest run broke off.

        ``limit``: only its first chunks; ``total`` says how many it has.
        """
        with self.env.store.read() as connection:
            row = stored.get(connection, document_id)
            if row is None:
                raise UnknownDocument(f"{document_id}: no such document in the store")
            chunks = [chunk_record(row, chunk) for chunk in stored.chunk_rows(connection, document_id, limit=limit)]
            total = len(chunks) if limit is None else stored.count_chunks(connection, document_id)
        return document_record(row) | {"reason": row.reason or "", "total": total, "chunks": chunks}

    def retry(self, document_id: str) -> Admission:
        """Try the document's failed and missing chunks again, with the generator of its newest run.

        A cancelled run is taken to its end, whatever is missing: the end is what removes chunks.
        """
        run = self._newest_run(document_id)
        unfinished = run.status not in TERMINAL or run.status == RunStatus.CANCELLED
        if not unfinished and not self._lacks_metadata(document_id):
            raise InvalidInput(f"{document_id}: has no failed chunks; `regenerate` does all of it again")
        return submit(
            self.env.store, self.settings, document_id, lane=run.lane, generator=run.generator, options=run.options
        )

    def regenerate(self, document_id: str, *, stale: bool = False) -> Admission:
        """Generate the document's metadata again; ``stale``: only what another generator or version made."""
        return submit(self.env.store, self.settings, document_id, force=not stale)

    def cancel(self, document_id: str) -> str:
        """Stop the work on a document; returns the run's id."""
        return control.cancel(self.env, document_id)

    def pause(self, document_id: str) -> str:
        """Let the work on a document wait; returns the run's id."""
        return control.pause(self.env, document_id)

    def resume(self, document_id: str) -> str:
        """Let a paused document go on; returns the run's id."""
        return control.resume(self.env, document_id)

    def delete(self, document_id: str) -> int:
        """Delete a document with its chunks; returns how many there were."""
        return control.delete(self.env, document_id)

    def _newest_run(self, document_id: str) -> Any:
        with self.env.store.read() as connection:
            run = stored_runs.newest_of(connection, document_id)
        if run is None:
            raise UnknownDocument(f"{document_id}: no such document in the store")
        return run

    def _lacks_metadata(self, document_id: str) -> bool:
        with self.env.store.read() as connection:
            states = (ChunkState.FAILED, ChunkState.QUARANTINED, ChunkState.PENDING)
            return stored.has_chunks(connection, document_id, states)


def top_keywords(metas: Sequence[Json], count: int) -> list[str]:
    """The keywords that most of the chunks have, their rank in each counted too; of one and many the first written."""
    weights: Counter[str] = Counter()
    written: dict[str, str] = {}
    for meta in metas:
        for rank, keyword in enumerate(meta["keywords"]):
            key = keyword.casefold().removesuffix("s")
            weights[key] += 10 - min(rank, 9)
            written.setdefault(key, keyword)
    return [written[key] for key, _ in weights.most_common(count)]


def status_record(row: Any) -> Json:
    """A document's row with its newest run as people and machines read it."""
    done = (row.done or 0) + (row.unchanged or 0) + (row.failed or 0)
    end = row.finished_at or time.time()
    return {
        "document_id": row.document_id,
        "run_id": row.run_id,
        "status": row.status,
        "stage": row.stage,
        "title": row.title,
        "language": row.language,
        "source": row.source,
        "total": row.total or 0,
        "done": done,
        "failed": row.failed or 0,
        "unchanged": row.unchanged or 0,
        "percent": round(100 * done / row.total, 1) if row.total else 0.0,
        "seconds": round(end - row.submitted_at, 3) if row.submitted_at else None,
        "reason": row.reason or "",
        "updated_at": row.updated_at,
    }
