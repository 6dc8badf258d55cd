"""What workers import of this floor (``imports`` in the configuration): their answers to the monitor."""

from __future__ import annotations

from . import worker_commands

__all__ = ["worker_commands"]
