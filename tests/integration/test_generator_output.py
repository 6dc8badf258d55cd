"""Whatever a generator gives, its document ends, on either database."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from smart_rag_tasks.models import Chunk, ChunkFailure, ChunkMetadata, DocumentContext, DocumentMetadata, Outcome
from smart_rag_tasks.settings import load
from smart_rag_tasks.stages import environment as environments
from smart_rag_tasks.stages import generation, planning
from smart_rag_tasks.stages.environment import Environment
from smart_rag_tasks.stages.finish import finish
from smart_rag_tasks.stages.ingest import Submission, admit
from smart_rag_tasks.store import documents
from smart_rag_tasks.store.engine import Store

BAD = "NUL \x00, half a character \ud800"
GOOD = "NUL \ufffd, half a character \ufffd"


class Careless:
    """Gives texts that a database refuses, and languages that its columns do not hold."""

    fingerprint = "careless-1"

    def __init__(self, language: str) -> None:
        self.language = language

    def generate(self, chunks: Sequence[Chunk], document: DocumentContext) -> list[Outcome]:
        outcomes = (
            ChunkMetadata(keywords=(BAD,), summary=BAD, gist=BAD),
            ChunkFailure(BAD * 9, BAD),
            ChunkMetadata(language="zh" * 9),
        )
        return [outcomes[chunk.position] for chunk in chunks]

    def title(self, chunks: Sequence[Chunk], hint: str) -> str:
        return BAD

    def describe(self, document: DocumentContext, chunks: object) -> DocumentMetadata:
        return DocumentMetadata(BAD, BAD, (BAD,), self.language)


@pytest.mark.parametrize(("language", "described"), [("zh", True), ("Simplified Chinese", False)])
def test_a_careless_generator_costs_no_document_its_end(
    new_store: Store, monkeypatch: pytest.MonkeyPatch, language: str, described: bool
) -> None:
    monkeypatch.setattr(environments, "generator", lambda spec, options: Careless(language))
    env = Environment(load(), new_store)
    chunks = [Chunk(f"c{number}", f"text {number}", number) for number in range(3)]
    run_id = admit(new_store, Submission("doc", chunks, "careless", engine="celery")).run_id
    for number in planning.plan(env, run_id).open:
        assert "done" == generation.run_batch(env, run_id, number).outcome

    assert finish(env, run_id) is not None

    with new_store.read() as connection:
        document, rows = documents.get(connection, "doc"), list(documents.chunk_rows(connection, "doc"))
    summary = GOOD if described else ""
    assert ("completed_with_errors", GOOD, summary) == (document.status, document.title, document.summary)
    assert ["done", "failed", "failed"] == [row.state for row in rows]
    assert (GOOD, GOOD) == (rows[0].meta["summary"], rows[1].error)
