"""When a periodic entry is due: ``5m`` or a cron line, checked where it is given, and made into Celery's schedules."""

from __future__ import annotations

import re
from typing import Final

from celery.schedules import crontab, schedule

from .errors import InvalidInput

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")

#: Seconds: beat cannot be more exact, and a year is as good as never.
SHORTEST, LONGEST = 1.0, 366 * 86_400.0

_EXAMPLE: Final = "five fields (minute hour day month weekday), for example '30 4 * * *' or '*/10 8-18 * * mon-fri'"


def parse_every(text: str) -> float:
    """Seconds in ``90s``, ``5m``, ``1h30m``, ``1d``; raises InvalidInput."""
    given = text.strip().lower()
    parts = _PART.findall(given)
    if not parts or "".join(number + unit for number, unit in parts) != given:
        raise InvalidInput(f"--every {text!r}: use a number with s, m, h or d, for example 30s, 5m, 1h30m, 1d")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not SHORTEST <= seconds <= LONGEST:
        raise InvalidInput(f"--every {text!r}: must lie between 1s and 366d")
    return seconds


def parse_cron(text: str) -> str:
    """The cron line with single spaces; raises InvalidInput for one that is wrong or never comes."""
    fields = text.split()
    if len(fields) != 5:
        raise InvalidInput(f"--cron {text!r}: use {_EXAMPLE}")
    line = " ".join(fields)
    try:
        crontab.from_string(line)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"--cron {text!r}: {str(error).rstrip('.')}; use {_EXAMPLE}") from None
    return line


def as_schedule(every: float | None, cron: str | None) -> schedule | crontab:
    """Celery's schedule of an entry."""
    return crontab.from_string(cron) if cron else schedule(run_every=every)


def in_words(every: float | None, cron: str | None) -> str:
    """``every 5m``, ``every 1h30m``, ``cron 30 4 * * *``."""
    return f"cron {cron}" if cron else f"every {short(every or 0.0)}"


def short(seconds: float) -> str:
    """``5m``, ``1h30m``, ``2.5s``: what `parse_every` reads."""
    whole, words = int(seconds), ""
    if whole != seconds:
        return f"{seconds:g}s"
    for unit, size in reversed(_UNITS.items()):
        count, whole = divmod(whole, size)
        words += f"{count}{unit}" if count else ""
    return words or "0s"
