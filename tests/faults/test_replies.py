"""Answers to remote control: the asker may have gone, and so may Redis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import redis
from kombu import Connection, pools
from kombu.pidbox import Mailbox
from stack import Stack

from smart_rag_tasks import app
from smart_rag_tasks.consumer import GuardedNode
from smart_rag_tasks.redis_server import RedisServer


def test_a_late_answer_to_a_remote_control_command_expires(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack()
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        channel._put("gone.reply.celery.pidbox", {"properties": {"priority": 0}})
        channel._put("default", {"properties": {"priority": 0}})

    client = redis.Redis.from_url(stack.redis.url)
    assert 0 < client.ttl("gone.reply.celery.pidbox") <= 300
    assert -1 == client.ttl("default")  # work does not expire


def test_a_worker_does_not_wait_for_redis_to_answer(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, Connection(server.url) as asked, Connection(server.url) as answering:
        mailbox = Mailbox("celery", connection=asked, producer_pool=pools.producers[answering])
        node = GuardedNode("worker@host", mailbox=mailbox, channel=asked.channel())
        answers = redis.Redis.from_url(server.url)

        def answer() -> None:
            node.reply({"worker@host": {"ok": "pong"}}, "reply.celery.pidbox", "asker", "ticket")

        answers.sadd("_kombu.binding.reply.celery.pidbox", "asker\x06\x16\x06\x16here")
        answer()
        assert answers.llen("here") == 1
        server.stop()
        answer()  # plain kombu goes on until Redis is back

        server.start()
        answers.delete("here")
        answer()
        assert answers.llen("here") == 1
