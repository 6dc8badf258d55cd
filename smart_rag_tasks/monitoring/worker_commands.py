"""What our workers answer beside Celery's own `inspect` commands: memory of the whole worker, children included.

Imported by workers (``imports`` in the configuration). Runs in the worker's main process: no store access here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import psutil
from celery.worker.control import inspect_command

from ..reliability import owners

#: The command's name.
MEMORY: Final = "smart_rag_memory"

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@inspect_command(name=MEMORY)
def memory(state: Any, **_: Any) -> dict[str, Any]:
    """Bytes that the worker uses (memory that its processes share is counted once) and may use; its host and pid."""
    parent = psutil.Process(os.getpid())
    children = parent.children(recursive=True)
    used, limit = sum(_own_bytes(process) for process in (parent, *children)), memory_limit()
    return {
        "used": used,
        "limit": limit,
        "fraction": round(used / limit, 4),
        "host": owners.host(),
        "pid": parent.pid,
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
