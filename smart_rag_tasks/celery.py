"""The Celery application: ``celery -A smart_rag_tasks worker``."""

from __future__ import annotations

from celery import Celery

from . import transport
from .bootsteps import SweepTimer
from .configuration import configuration

transport.install()

app = Celery("smart_rag_tasks", task_cls="smart_rag_tasks.base_task:BaseTask")
app.config_from_object(configuration())
app.steps["consumer"].add(SweepTimer)
