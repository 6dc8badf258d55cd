"""What workers import of this floor (``imports`` in the configuration): the evaluation of alerts."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Any

from celery import Task

from .. import names
from ..celery import app
from ..errors import SmartRagError
from ..models import Json
from ..settings import get_settings
from .checks import Subject

logger = logging.getLogger(__name__)


@app.task(bind=True, name=names.EVALUATE_ALERTS, ignore_result=True)
def evaluate_alerts(self: Task[Any, Any]) -> Json:
    """Evaluate the alert rules, unless another process just did. The exporter does so too: a task needs a worker."""
    from . import alerts

    try:
        with closing(Subject(app, get_settings())) as subject:
            found = alerts.evaluate(subject)
    except SmartRagError as error:
        logger.warning("alerts: %s", error)
        return {}
    return {} if found is None else {"alerts": len(found.alerts), "told": found.told, "waiting": found.waiting}
