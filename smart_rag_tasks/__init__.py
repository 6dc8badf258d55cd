"""smart_rag_tasks: metadata for the chunks of a RAG system's documents, in the background, with Celery.

Importing this package starts nothing: ``app``, ``process_document_pipeline`` and the client are handed on
when they are first asked for (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .celery import app as app
    from .client import Client as Client
    from .tasks import process_document_pipeline as process_document_pipeline

_LAZY = {
    "app": ("smart_rag_tasks.celery", "app"),
    "celery_app": ("smart_rag_tasks.celery", "app"),
    "process_document_pipeline": ("smart_rag_tasks.tasks", "process_document_pipeline"),
    "Client": ("smart_rag_tasks.client", "Client"),
}

__all__ = ["Client", "app", "process_document_pipeline"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    try:
        module, attribute = _LAZY[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value
