"""Watching (floor 8): the monitor, health, metrics, alerts, and what Flower shows. Nothing below imports this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .monitor import CeleryMonitor as CeleryMonitor

__all__ = ["CeleryMonitor"]


def __getattr__(name: str) -> Any:
    """`CeleryMonitor`, imported when it is first asked for: it starts the Celery app."""
    if name != "CeleryMonitor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .monitor import CeleryMonitor

    return CeleryMonitor
