"""The store (floor 2): what is true of documents, chunks, runs and batches. SQL only; no policy, no broker."""

from __future__ import annotations

from .engine import Store, file_of, missing_file
from .migrate import open_store

__all__ = ["Store", "file_of", "missing_file", "open_store"]
