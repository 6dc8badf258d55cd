"""What the store says when it cannot take something: never a chunk's text."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest
from sqlalchemy.exc import StatementError

from smart_rag_tasks.models import Chunk
from smart_rag_tasks.store import Store, admission


@pytest.mark.parametrize(
    ("run_id", "metadata"),
    [(None, {}), ("r" * 65, {}), ("run", {"private": float("nan")}), ("run", {"private": object()})],
)
def test_an_error_of_the_database_holds_no_text(
    new_store: Store, run_id: Any, metadata: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    chunk = Chunk("c", "private words", 0, ("private heading",), metadata=metadata)
    try:
        with new_store.write() as connection:
            admission.upsert_chunks(new_store, connection, "doc", run_id, [chunk])
    except (StatementError, TypeError) as error:
        logging.getLogger(__name__).exception("%r", error)
        assert "private" not in "".join(traceback.format_exception(error))
        assert "private" not in repr(error)
    else:
        assert new_store.is_sqlite  # it takes what PostgreSQL does not
    assert "private" not in caplog.text
