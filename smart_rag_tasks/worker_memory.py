"""The memory of a whole worker, children included, as it tells with its `stats`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def worker_memory() -> dict[str, Any]:
    """Bytes that this process and its children use (what they share is counted once), and that they may use."""
    parent = psutil.Process(os.getpid())
    children = parent.children(recursive=True)
    used, limit = sum(_own_bytes(process) for process in (parent, *children)), memory_limit()
    return {
        "used": used,
        "limit": limit,
        "fraction": round(used / limit, 4),
        "children": len(children),
    }


def _own_bytes(process: psutil.Process) -> int:
    try:
        info = process.memory_full_info()
        return int(getattr(info, "pss", info.uss))
    except psutil.Error:
        return 0


def memory_limit() -> int:
    """Bytes that this machine, or container, has."""
    total = int(psutil.virtual_memory().total)
    for path in _LIMITS:
        try:
            return min(total, int(path.read_text()))
        except (OSError, ValueError):
            continue
    return total
