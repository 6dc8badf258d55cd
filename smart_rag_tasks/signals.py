"""What happens around worker processes: generators are loaded before the fork, connections after it."""

from __future__ import annotations

import gc
import logging
from typing import Any

from celery import signals

from .errors import InvalidSettings
from .settings import get_settings
from .stages.environment import generator

logger = logging.getLogger(__name__)


@signals.worker_init.connect
def load_generator_before_fork(**_: Any) -> None:
    """Word lists that are loaded once are shared by all children; only for generators that say it is safe."""
    settings = get_settings()
    try:
        made = generator(settings.generator, settings.generator_options)
    except InvalidSettings:
        raise SystemExit(f"Error: SMART_RAG_GENERATOR: {settings.generator} cannot be loaded") from None
    warm_up = getattr(made, "warm_up", None)
    if callable(warm_up):
        warm_up()
    gc.collect()
    gc.freeze()  # a child's collector would touch, and so copy, every page that it shares with its parent
