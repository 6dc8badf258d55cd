"""The requirements document's ``DocumentProcessor``: a folder in, a folder of JSON lines out, a vector store fed."""

from __future__ import annotations

import inspect
import json
import logging
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .client import Client
from .documents import find_files
from .errors import InvalidInput, SmartRagError, UnknownDocument
from .models import TERMINAL, Json, Lane
from .sinks import VectorStore, check_methods, find_sink
from .sinks.ledger import Ledger
from .stages.validation import valid_lane
from .store.documents import DELETED

logger = logging.getLogger(__name__)

#: Seconds between two looks at the store.
POLL = 0.1

#: Seconds before each further try of what the vector store did not take, when all else is done.
SINK_PAUSES = (0.5, 1.0, 2.0)


class DocumentProcessor:
    """Scans a folder, stores its documents' chunks first, submits them, and writes the results as they end.

    ``vector_store`` is any object with ``upsert(records)`` and ``delete(document_id, chunk_ids)``: fed here, as
    documents end; ``output_dir`` keeps which chunks it has (``*.fed``), so that those that went are deleted. Given as
    ``"module:attribute"``, the workers feed it (their SMART_RAG_SINK must name it too).
    """

    def __init__(
        self,
        input_dir: str | Path,
        output_dir: str | Path,
        vector_store: VectorStore | str | None = None,
        *,
        use_celery: bool | None = None,
        lane: str = Lane.BULK,
        client: Client | None = None,
    ) -> None:
        self.input_dir, self.output_dir = Path(input_dir), Path(output_dir)
        if not self.input_dir.is_dir():
            raise InvalidInput(f"input_dir: {self.input_dir} is no folder")
        try:
            self.output_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"output_dir: {self.output_dir} is no folder and cannot be made ({error})") from None
        self.client = client or Client()
        self.lane, self.use_celery = valid_lane(lane), use_celery
        self.vector_store = self._sink(vector_store)
        #: Files that were refused, and why.
        self.refused: dict[str, str] = {}

    def _sink(self, vector_store: VectorStore | str | None) -> VectorStore | None:
        if not isinstance(vector_store, str):
            if inspect.isclass(vector_store):
                raise InvalidInput("vector_store: must be an object, not a class")
            if vector_store is not None:
                check_methods(f"vector_store: {type(vector_store).__name__}", vector_store)
            return vector_store
        find_sink(vector_store, "vector_store")  # a wrong name is an error here, not in a worker's log
        if self.client.settings.sink != vector_store:
            raise InvalidInput(
                f"vector_store: the workers feed {vector_store} only if SMART_RAG_SINK={vector_store} is set for them"
            )
        return None

    def submit(self) -> dict[str, str]:
        """Parse, store and submit every document below ``input_dir``; returns run ids by document id."""
        runs: dict[str, str] = {}
        for path in find_files([self.input_dir], self._refuse):
            try:
                admission = self.client.submit_file(path, lane=self.lane, engine=self._engine())
            except SmartRagError as error:
                self._refuse(path, error)
            else:
                runs[admission.document_id] = admission.run_id
        return runs

    def _refuse(self, path: Path, error: SmartRagError) -> None:
        self.refused[str(path)] = str(error)

    def _engine(self) -> str:
        if self.use_celery is None:
            return ""
        return "celery" if self.use_celery else "rq"

    def process(self, *, timeout: float = 3600.0) -> list[Json]:
        """Submit, wait ``timeout`` seconds at the most, write; returns each document's final result.

        ``sink_error`` in a result is the type of what the vector store raised at every try, "" where it took the
        document; the next ``process()`` feeds it again. Of a document that was deleted meanwhile the ``status`` is
        "deleted".
        """
        waiting = self.submit()
        results: list[Json] = []
        deadline, patiently = time.monotonic() + timeout, self.client.env.store.patiently
        while waiting and time.monotonic() < deadline:
            for status in patiently(partial(self._ended, waiting)):
                run_id = waiting.pop(status["document_id"])
                results.append(patiently(partial(self._take, status, run_id)))
            time.sleep(POLL if waiting else 0)
        self._feed_again(results)
        return results + self._statuses(waiting)

    def _statuses(self, waiting: Mapping[str, str]) -> list[Json]:
        return [self._status(document_id, run_id) for document_id, run_id in waiting.items()]

    def _status(self, document_id: str, run_id: str) -> Json:
        try:
            return self.client.status(document_id)
        except UnknownDocument:
            return self.client.run_status(run_id)

    def _ended(self, waiting: Mapping[str, str]) -> list[Json]:
        under_way = self.client.under_way(list(waiting))
        ended = {document_id: run_id for document_id, run_id in waiting.items() if document_id not in under_way}
        return [record for record in self._statuses(ended) if record["status"] in {*TERMINAL, DELETED}]

    def _take(self, status: Json, run_id: str) -> Json:
        """Write the document's records, and feed the vector store of this process; a deleted one has neither."""
        document_id: str = status["document_id"]
        path = self._path(document_id, "jsonl")
        if status["status"] == DELETED:
            path.unlink(missing_ok=True)
        else:
            write_jsonl(self.client, document_id, path)
        return status | {"run_id": run_id, "sink_error": self._feed(document_id)}

    def _feed(self, document_id: str) -> str:
        """Bring the vector store up to date with a document; the type of error when it raises, else ""."""
        if self.vector_store is None:
            return ""
        try:
            ledger = Ledger(self._path(document_id, "fed"))
            ledger.feed(self.vector_store, document_id, self.client.records([document_id]))
        except Exception as error:  # somebody else's sink: it costs no document its end
            return type(error).__name__
        return ""

    def _feed_again(self, results: list[Json]) -> None:
        """Try again what the vector store did not take, a few times."""
        for pause in SINK_PAUSES:
            failed = [result for result in results if result["sink_error"]]
            time.sleep(pause if failed else 0)
            for result in failed:
                result["sink_error"] = self._feed(result["document_id"])
        for result in results:
            if result["sink_error"]:
                said = "%s: the vector store did not take it (%s); process() feeds it again"
                logger.warning(said, result["document_id"], result["sink_error"])

    def _path(self, document_id: str, suffix: str) -> Path:
        return self.output_dir / f"{safe_name(document_id)}.{suffix}"


def safe_name(document_id: str) -> str:
    """A document id as a file name."""
    return "".join(char if char.isalnum() or char in "-_.," else "_" for char in document_id)[:200]


def write_jsonl(client: Client, document_id: str, path: Path) -> None:
    """A document's records as JSON lines in a file, whole or not at all."""
    draft = path.with_suffix(path.suffix + ".part")
    with draft.open("w", encoding="utf-8") as lines:
        for record in client.records([document_id]):
            lines.write(_line(record))
    draft.replace(path)


def _line(record: Any) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
