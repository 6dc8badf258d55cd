"""Messages that come twice, are wrong, or come for a run that is cancelled; submissions that come twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any
from uuid import uuid4

from ground import Ground, Outcome
from malformed_messages import MALFORMED, message, raw

from smart_rag_tasks.dead_list import count
from smart_rag_tasks.names import GENERATE_BATCH, METADATA_QUEUE, PREPROCESS_DOCUMENT, PRIORITY_QUEUE, QUEUES

#: The nine kinds of the table.
NINE = (
    *("not JSON", "no headers", "bad base64", "unknown task", "wrong body shape", "pickle"),
    *("no properties", "no delivery_info", "unknown compression"),
)


def twice_while_running(ground: Ground) -> Outcome:
    """Each batch's message is delivered a second time while the first delivery is at work."""
    from smart_rag_tasks import pipelines

    ground.begin()
    ground.fault()
    open_now = range(ground.scale.chunks // 5)
    for lane in ("bulk", "interactive"):  # the second at once, on a queue of its own
        pipelines.publish_batches(ground.document_id, ground.run_id, open_now, lane)
    outcome = ground.end(30)
    assert outcome.repeats == 0, outcome
    return outcome


def entry_twice(ground: Ground) -> Outcome:
    """The entry message is delivered twice, and once more in mid-run."""
    from smart_rag_tasks import pipelines

    ground.start_worker()
    ground.fault()
    ground.submit()
    pipelines.publish(ground.document_id, ground.run_id)
    ground.work_begins(0.2)
    pipelines.publish(ground.document_id, ground.run_id)
    outcome = ground.end(40)
    assert outcome.repeats == 0, outcome
    return outcome


_SUBMIT = """
import json, sys
from smart_rag_tasks.client import Client
client = Client()
print("ready", flush=True)
document_id, chunks = json.loads(sys.stdin.readline())
print(client.submit(document_id, chunks).run_id, flush=True)
"""


def submitted_twice(ground: Ground) -> Outcome:
    """Two processes submit the same document at the same moment."""
    ground.start_worker()
    ground.total = ground.scale.chunks
    both = [
        subprocess.Popen([sys.executable, "-c", _SUBMIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
    ground.fault()
    line = json.dumps([ground.document_id, ground.chunks()]) + "\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write(line)
        process.stdin.flush()
    run_ids = {process.communicate(timeout=20)[0].strip() for process in both}
    assert 1 == len(run_ids), run_ids
    ground.run_id = run_ids.pop()
    outcome = ground.end(40)
    assert outcome.repeats == 0, outcome
    return outcome


def cancelled(ground: Ground) -> Outcome:
    """Cancel in mid-run: at most the batches that run go on, then nothing; not after a restart of the worker either."""
    worker = ground.begin()
    ground.client.cancel(ground.document_id)
    ground.fault()
    before = _calls(ground)
    ground.wait(lambda: not ground.redis.llen(METADATA_QUEUE), 20, "the cancelled messages to be used up")
    ground.wait(lambda: _is_quiet(ground), 20, "quiet")
    after = _calls(ground)
    concurrency, batch = 2, ground.batch_size()
    assert after - before <= concurrency * batch, (before, after)
    ground.stack.stop_worker(worker)
    ground.start_worker()
    return _nothing_more(ground, after)


def cancelled_without_worker(ground: Ground) -> Outcome:
    """Cancel while no worker is up; then one starts."""
    worker = ground.begin()
    ground.stack.kill_worker(worker)
    ground.client.cancel(ground.document_id)
    ground.fault()
    before = _calls(ground)
    ground.start_worker()
    ground.wait(lambda: not ground.redis.llen(METADATA_QUEUE), 20, "the cancelled messages to be used up")
    return _nothing_more(ground, before)


def _calls(ground: Ground) -> int:
    return sum(ground.calls(*range(ground.scale.chunks)))


def _is_quiet(ground: Ground) -> bool:
    before = _calls(ground)
    time.sleep(5 * ground.scale.seconds + 0.5)  # longer than a chunk takes: whoever is at work shows
    return _calls(ground) == before


def _nothing_more(ground: Ground, calls: int) -> Outcome:
    seconds = time.monotonic() - ground.since
    ground.outage(10)  # sweeps pass
    assert calls == _calls(ground)
    outcome = ground.count()
    assert "cancelled" == outcome.status
    assert 0 == outcome.doubles
    told = ground.wait(lambda: _told(ground), 20, "the result")
    assert "cancelled" == told["final_status"]
    return Outcome(round(seconds, 2), "cancelled", 0, outcome.repeats, outcome.states, 0, "until nothing runs")


def _told(ground: Ground) -> Any:
    from smart_rag_tasks import app

    result = app.AsyncResult(ground.run_id)
    return result.result if result.successful() else None


def malformed(ground: Ground) -> Outcome:
    """Nine kinds of malformed messages on each queue, in mid-run."""
    worker = ground.begin()
    children = {child.pid for child in ground.stack.children(worker)}
    ground.fault()
    for queue in QUEUES:
        for kind in NINE:
            ground.redis.rpush(queue, MALFORMED[kind])  # the next to be taken
    expected = len(NINE) * len(QUEUES)
    ground.wait(lambda: count(ground.redis) == expected, 30, "the dead list to have all")
    assert worker.poll() is None
    assert children == {child.pid for child in ground.stack.children(worker)}, "a pool child died"
    return ground.end(30, note=f"{expected} messages put aside")


def unknown_batch_task(ground: Ground) -> Outcome:
    """Half a deploy: a worker that does not know the batches' task takes some of them, then one that does comes."""
    old = ground.start_worker("-I", "misbehaving", HALF_DEPLOYED="1")
    ground.submit()
    ground.wait(lambda: count(ground.redis) > 0, 20, "messages put aside as unknown")
    ground.fault()
    ground.stack.stop_worker(old)
    ground.start_worker()
    return ground.end(40)


def old_formats(ground: Ground) -> Outcome:
    """Messages as an older version wrote them: a batch with other arguments, a field that is unknown, a lost header."""
    worker = ground.start_worker()
    ground.submit()
    ground.work_begins(0.2)
    ground.fault()
    for arguments in ([[ground.run_id], {}], [[ground.run_id, 1], {"mode": "old"}], [[{"run": 1}, "x"], {}]):
        ground.redis.rpush(METADATA_QUEUE, raw(_ours(GENERATE_BATCH, METADATA_QUEUE, arguments)))
    gone = [[f"{ground.document_id}-gone"], {"run_id": str(uuid4())}]
    ground.redis.rpush(PRIORITY_QUEUE, raw(_ours(PREPROCESS_DOCUMENT, PRIORITY_QUEUE, gone)))
    outcome = ground.end(40)
    assert worker.poll() is None
    return outcome


def _ours(task: str, queue: str, arguments: list[Any]) -> Any:
    return message(
        [*arguments, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}], queue=queue, task=task
    )
