"""Settings for RQ's own programs: ``rq worker -c smart_rag_tasks.rq_compat.rq_config``, ``rq info -c …``."""

from __future__ import annotations

from ..names import QUEUES as _QUEUES
from ..settings import get_settings as _get_settings

REDIS_URL = _get_settings().rq_url
QUEUES = list(_QUEUES)
