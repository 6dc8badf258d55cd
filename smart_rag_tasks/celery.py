"""The Celery application: ``celery -A smart_rag_tasks worker``."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

from . import (
    logging_signals,  # noqa: F401 - its receivers connect at import
    transport,
)
from .bootsteps import SweepTimer
from .configuration import configuration

transport.install()
os.environ.setdefault("FLOWER_CONF", str(Path(__file__).with_name("flowerconfig.py")))  # else Flower starts wide open

app = Celery("smart_rag_tasks", task_cls="smart_rag_tasks.base_task:BaseTask")
app.config_from_object(configuration())
app.steps["consumer"].add(SweepTimer)
