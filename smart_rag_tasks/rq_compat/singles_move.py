"""Items that only their message knows of, on their way to the other side: into the store first, then ids travel."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Protocol

from .. import pipelines
from ..dispatch import submit
from ..errors import InvalidInput
from ..models import Json
from ..names import BATCH_METADATA_GENERATION, GENERATE_METADATA_FOR_CHUNK, INGEST_FILE, RQ
from ..stages.environment import Environment
from ..stages.single import by_document
from ..tasks import callbacks_of
from .items import Item
from .singles import send_chunk, store_chunk

logger = logging.getLogger(__name__)


class Target(Protocol):
    """The side that is moved to."""

    name: str

    def send(self, item: Item, /) -> None: ...


def take_over(env: Environment, item: Item, target: Target) -> bool:
    """Do on the other side what the item asks for; False when it asks for what cannot be done (it is told, and gone).

    The same item again, after a crash, makes nothing new: same ids, same contents.
    """
    try:
        if item.task == GENERATE_METADATA_FOR_CHUNK:
            _chunk(env, item, target)
        elif item.task == INGEST_FILE:
            target.send(item)
        elif item.task == BATCH_METADATA_GENERATION:
            _chunks_of_documents(env, item)
        else:
            _document(env, item)
    except (InvalidInput, TypeError) as error:
        logger.warning("%s %s is refused: %s", item.task, item.id, error)
        return False
    return True


def _chunk(env: Environment, item: Item, target: Target) -> None:
    given: Json = dict(zip(("chunk_id", "chunk_text", "document_id"), item.args, strict=False)) | dict(item.kwargs)
    chunk_id, text, document_id = given["chunk_id"], given.get("chunk_text"), given["document_id"]
    if text is not None:
        store_chunk(env, chunk_id, text, document_id)
    if target.name == RQ:
        send_chunk(env, chunk_id, None, document_id, celery_task_id=item.id)
    else:
        target.send(replace(item, args=(chunk_id, None, document_id), kwargs={}))


def _document(env: Environment, item: Item) -> None:
    """A document whose chunks are in the message: the same write that the worker would have made."""
    given: Json = dict(zip(("document_id", "chunks", "lane", "force"), item.args, strict=False)) | dict(item.kwargs)
    given.pop("run_id", None)
    submit(env.store, env.settings, run_id=item.id, callbacks=callbacks_of(item.callbacks), **given)


def _chunks_of_documents(env: Environment, item: Item) -> None:
    given = item.kwargs.get("chunk_data_list", item.args[0] if item.args else None)
    runs = {
        document_id: submit(env.store, env.settings, document_id, chunks, additive=True).run_id
        for document_id, chunks in by_document(given, env.settings).items()
    }
    pipelines.store_result(
        item.id, {"batch_id": item.id, "task_count": len(given or ()), "status": "submitted", "runs": runs}
    )
