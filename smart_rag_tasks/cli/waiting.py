"""Waiting for work that others do, as long as there is hope."""

from __future__ import annotations

import time
from typing import Final

from ..errors import BrokerUnreachable

#: Seconds between two looks at the broker, and for which it may be away.
_LOOK: Final = 5.0
_PATIENCE: Final = 60.0


class BrokerWatch:
    """Called again and again: raises BrokerUnreachable at once if there is no broker at first, later after a minute."""

    def __init__(self) -> None:
        self._next = self._seen = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _LOOK
        from ..celery import app
        from ..monitoring.broker import open_broker

        try:
            with open_broker(app):
                self._seen = now
        except BrokerUnreachable as error:
            if now - self._seen > _PATIENCE:
                raise BrokerUnreachable(f"{error}. Nothing is lost: the same command goes on") from None
