"""Who owns a lease, and whether that process is still alive.

An owner is ``host/pid-namespace|pid|start``: the namespace tells two containers of one host name apart, the
start time (seconds since boot, from the kernel) tells a process from a later one that got its pid.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

import psutil


@cache
def host() -> str:
    """This machine's, or container's, name and pid namespace."""
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:  # not Linux: one namespace
        namespace = "0"
    return f"{socket.gethostname()}/{namespace}"


def identify(pid: int) -> str:
    """A process of this host as an owner, "" when there is none of that pid."""
    try:
        return f"{host()}|{pid}|{psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""


_me: tuple[int, str] | None = None


def me() -> str:
    """This process as an owner."""
    global _me
    pid = os.getpid()
    if _me is None or _me[0] != pid:  # a fork inherits the parent's answer
        _me = (pid, identify(pid))
    return _me[1]


def is_here(owner: str) -> bool:
    """Whether ``owner`` is a process of this host, so that `is_dead` can tell."""
    return owner.rsplit("|", 2)[0] == host()


def is_dead(owner: str) -> bool:
    """True when ``owner`` certainly died; False when it lives, or lives where this process cannot look."""
    where, pid, _ = owner.rsplit("|", 2)
    if where != host():
        return False
    try:
        process = psutil.Process(int(pid))
        return identify(int(pid)) != owner or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
