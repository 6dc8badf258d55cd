"""What happens around worker processes: generators are loaded before the fork, connections after it."""

from __future__ import annotations

import gc
import logging
import sys
from typing import Any

from celery import signals

from .errors import InvalidSettings
from .settings import get_settings
from .stages.environment import plugged_in

logger = logging.getLogger(__name__)


@signals.worker_init.connect
def load_generator_before_fork(**_: Any) -> None:
    """Word lists that are loaded once are shared by all children; only for generators that say it is safe."""
    try:
        made = plugged_in(get_settings())
    except InvalidSettings as error:
        print(f"Error: {error}", file=sys.__stderr__, flush=True)
        raise SystemExit(error.exit_code) from None
    warm_up = getattr(made, "warm_up", None)
    if callable(warm_up):
        warm_up()
    gc.collect()
    gc.freeze()  # a child's collector would touch, and so copy, every page that it shares with its parent
