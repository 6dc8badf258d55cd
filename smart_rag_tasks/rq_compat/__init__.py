"""RQ, kept for one purpose: to go back to it, and forward again, without losing a document (floor 7).

RQ's jobs are envelopes of the same stages as the Celery tasks, under the same leases and fences. Nothing below
`client` and `cli` imports this package: it is found through the entry-point group ``smart_rag_tasks.engines``, and
can be deleted in one commit. Needs the extra: ``pip install 'smart-rag-tasks[rq]'``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .hybrid import HybridTaskManager as HybridTaskManager
    from .monitor import RQMonitor as RQMonitor

_LAZY = {"HybridTaskManager": ".hybrid", "RQMonitor": ".monitor"}

__all__ = ["HybridTaskManager", "RQMonitor"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name], __name__), name)
