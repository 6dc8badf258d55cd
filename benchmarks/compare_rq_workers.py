"""Two RQ workers: ``plain`` as the requirements document starts them, ``tuned`` with what RQ offers."""

from __future__ import annotations

import os
import sys
from multiprocessing import get_context
from typing import Any

from redis import Redis
from rq import Queue, Worker
from rq.serializers import JSONSerializer


def work(tuned: bool) -> None:
    """One worker, for ever."""
    connection = Redis.from_url(os.environ["REDIS_URL"])
    options: dict[str, Any] = {}
    if tuned:
        import compare_work  # noqa: F401 - before the fork, not in each work horse

        options = {"serializer": JSONSerializer, "maintenance_interval": 14, "worker_ttl": 30}
        options |= {"job_monitoring_interval": 10, "log_job_description": False}
    queue = Queue("metadata_queue", connection=connection, serializer=options.get("serializer"))
    Worker([queue], connection=connection, **options).work(with_scheduler=tuned)


if __name__ == "__main__":
    workers = [get_context("fork").Process(target=work, args=(sys.argv[1] == "tuned",)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
