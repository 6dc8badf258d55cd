"""What a chunk costs Redis: commands and bytes, counted by Redis itself (a count, so it holds on any machine)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from stack import Stack

from smart_rag_tasks import process_document_pipeline

#: Bounds for a document of thousands of chunks of 1.6 ms each.
COMMANDS_A_CHUNK = 1.1
BYTES_A_CHUNK = 200


@pytest.fixture
def quiet_stack(new_stack: Callable[..., Stack]) -> Stack:
    stack = new_stack()
    stack.ledger_generator(seconds_per_chunk=0.0016)
    stack.enter_environment()
    stack.start_worker()
    return stack


def traffic(client: redis.Redis) -> tuple[int, int]:
    """Commands processed, and bytes in and out, since the server started."""
    stats = client.info("stats")
    return stats["total_commands_processed"], stats["total_net_input_bytes"] + stats["total_net_output_bytes"]


def test_commands_and_bytes_a_chunk(quiet_stack: Stack, document_id: str) -> None:
    client = redis.Redis.from_url(quiet_stack.env["REDIS_URL"])
    warm = [
        {"chunk_id": f"w{number}", "text": f"warm {number}"} for number in range(200)
    ]  # what a chunk costs is known
    process_document_pipeline.delay(f"{document_id}-warm", warm).get(timeout=20)
    chunks = [{"chunk_id": f"c{number}", "text": f"{document_id} {number} " + "x" * 1200} for number in range(5000)]

    found = []
    for again in range(2):  # a machine that stands still for a moment makes chunks dear, and batches small
        commands, size = traffic(client)
        result = process_document_pipeline.delay(f"{document_id}-{again}", chunks)
        assert 5000 == result.get(timeout=90, interval=2)["processed_chunks"]
        more_commands, more_size = traffic(client)
        found.append(((more_commands - commands) / 5000, (more_size - size) / 5000))

    per_chunk = min(found)
    print(f"{per_chunk[0]:.2f} commands, {per_chunk[1]:.0f} bytes a chunk")
    assert per_chunk[0] <= COMMANDS_A_CHUNK
    assert per_chunk[1] <= BYTES_A_CHUNK
