"""The one Celery configuration. Values come from ``smart_rag_tasks.settings``; every line here has its reason.

In a checkout this file lies beside the package; in a wheel it is ``smart_rag_tasks.celeryconfig``. An application
that needs other settings names its own module in CELERY_CONFIG_MODULE and starts it with
``from smart_rag_tasks.celeryconfig import *``.
"""

from __future__ import annotations

import socket
from typing import Any

from kombu import Queue

from smart_rag_tasks import names
from smart_rag_tasks.redis_server import running_url
from smart_rag_tasks.settings import client_url, get_settings

_settings = get_settings()

# -- where
#: Without REDIS_URL: the embedded server that `up` has running beside us, if there is one.
_embedded = None if _settings.names_redis else running_url(_settings.redis_home)
broker_url = _embedded or _settings.broker_url
result_backend = _settings.backend or _embedded or _settings.redis_url
imports = (
    "smart_rag_tasks.signals",
    "smart_rag_tasks.tasks",
    "smart_rag_tasks.maintenance",
    "smart_rag_tasks.monitoring.tasks",
)

# -- what travels: JSON, never pickle
task_serializer = result_serializer = event_serializer = "json"
accept_content = ["json"]
result_accept_content = ["json"]
if _settings.payload_key_list:  # then nothing that is not encrypted is accepted either
    from smart_rag_tasks.encryption import celery_settings

    globals().update(celery_settings(_settings.payload_key_list))
enable_utc = True
timezone = "UTC"

# -- delivery: a message is acknowledged when its work is in the store
task_acks_late = True
task_reject_on_worker_lost = True
# the store re-drives, and the store alone counts attempts; its own tasks say acks_on_timeout=False (tasks.py)
task_acks_on_failure = task_acks_on_timeout = True
worker_prefetch_multiplier = 1
task_track_started = False  # PROGRESS says more, and a late STARTED would overwrite it
task_soft_time_limit = _settings.soft_time_limit
task_time_limit = _settings.time_limit

# -- queues: served in this order (see names.py)
task_default_queue = names.DEFAULT
task_queues = tuple(Queue(name, routing_key=name) for name in names.QUEUES)
task_routes = {task: {"queue": queue} for task, queue in names.TASK_QUEUES.items()} | {
    alias: {"queue": names.TASK_QUEUES[task]} for alias, task in names.ALIASES.items()
}
task_create_missing_queues = False  # a mistyped queue is an error, not a new queue that nobody serves

# -- Redis as broker and result backend
#: Seconds; a dead peer is noticed within about 20 s instead of never.
_keepalive: dict[int, int] = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}
broker_transport_options: dict[str, Any] = {
    "visibility_timeout": _settings.visibility_timeout,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "queue_order_strategy": "priority",
    "socket_timeout": 5,  # of a half-open connection several run out one after the other
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "socket_keepalive_options": _keepalive,
    "health_check_interval": 10,
}
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # a worker outlives any outage of Redis
broker_connection_timeout = 5
redis_socket_timeout = 5
redis_socket_connect_timeout = 5
redis_socket_keepalive = True
redis_backend_health_check_interval = 10
redis_retry_on_timeout = True
result_backend_always_retry = True  # without it a three-second restart of Redis loses a chord
result_backend_max_retries = 60
result_backend_base_sleep_between_retries_ms = 100
result_backend_max_sleep_between_retries_ms = 1000

# -- results: small counts, for a day
result_expires = _settings.result_expires
result_failure_expires = _settings.result_failure_expires
result_chord_expires = _settings.chord_expires  # far above the longest document

# -- workers
worker_concurrency = _settings.worker_concurrency
worker_max_tasks_per_child = _settings.worker_max_tasks_per_child
worker_max_memory_per_child = _settings.worker_max_memory_kb
worker_soft_shutdown_timeout = _settings.soft_shutdown
worker_enable_soft_shutdown_on_idle = False  # an idle worker ends at once
worker_cancel_long_running_tasks_on_connection_loss = False  # leases decide; work that is paid for is finished
worker_consumer = "smart_rag_tasks.consumer:GuardedConsumer"  # unfit messages are put aside
worker_send_task_events = True
task_send_sent_event = True
worker_hijack_root_logger = False
worker_log_format = "%(asctime)s %(levelname)s %(processName)s %(name)s: %(message)s"
worker_task_log_format = worker_log_format

# -- beat: another one takes over at most lock + loop seconds after it died (with RedBeat's defaults: 30 minutes)
beat_scheduler = "smart_rag_tasks.schedules:Scheduler"
beat_max_loop_interval = 5
redbeat_lock_timeout = 30
redbeat_redis_url = client_url(broker_url if broker_url.startswith(("redis", "sentinel")) else result_backend)
redbeat_redis_options = {"socket_timeout": 10, "socket_connect_timeout": 5, "health_check_interval": 10}
if not redbeat_redis_url.startswith("unix://"):
    redbeat_redis_options["socket_keepalive"] = True
redbeat_key_prefix = "smart_rag_tasks:redbeat:"
