"""An answer whose asker has gone leaves no key without expiry."""

from __future__ import annotations

from collections.abc import Callable

import redis
from stack import Stack

from smart_rag_tasks import app


def test_a_late_answer_to_a_remote_control_command_expires(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack()
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        channel._put("gone.reply.celery.pidbox", {"properties": {"priority": 0}})
        channel._put("default", {"properties": {"priority": 0}})

    client = redis.Redis.from_url(stack.redis.url)
    assert 0 < client.ttl("gone.reply.celery.pidbox") <= 300
    assert -1 == client.ttl("default")  # work does not expire
