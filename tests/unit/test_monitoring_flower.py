"""Who may reach Flower, and what is made of an event before Flower remembers it."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from smart_rag_tasks import names
from smart_rag_tasks.errors import InvalidSettings
from smart_rag_tasks.monitoring import flower_access, flower_pages
from smart_rag_tasks.settings import load

FINAL = "{'final_status': 'completed', 'processed_chunks': 3000, 'failed_chunks': 2, 'seconds': 4.12}"

NO_OPTIONS = SimpleNamespace(auth="", unix_socket="")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_loopback_needs_no_password(address: str) -> None:
    assert flower_access.is_loopback(address)
    flower_access.check_access(NO_OPTIONS, address, [])


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "192.168.1.5", "8.8.8.8"])
def test_every_other_address_needs_one(address: str) -> None:
    with pytest.raises(InvalidSettings, match="FLOWER_BASIC_AUTH=user:password"):
        flower_access.check_access(NO_OPTIONS, address, [])
    flower_access.check_access(NO_OPTIONS, address, ["user:password"])
    flower_access.check_access(SimpleNamespace(auth="me@example.org", unix_socket=""), address, [])


@pytest.mark.parametrize("wrong", ["admin", "admin:", ":secret", "a:b,c", "a:b,:"])
def test_credentials_need_a_user_and_a_password(wrong: str) -> None:
    with pytest.raises(InvalidSettings, match="must be user:password"):
        flower_access.credentials([], load(flower_basic_auth=wrong))


def test_credentials_come_from_the_option_else_from_the_settings() -> None:
    settings = load(flower_basic_auth="a:b, c:d")
    assert flower_access.credentials([], settings) == ["a:b", "c:d"]
    assert flower_access.credentials(["e:f"], settings) == ["e:f"]
    assert flower_access.credentials([""], load()) == []


def test_a_port_that_is_taken_is_refused_by_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InvalidSettings, match="FLOWER_PORT: cannot"):
        flower_access.check_settings(load(flower_port=taken.getsockname()[1]))


def sent(task: str, args: str, **more: Any) -> dict[str, Any]:
    return flower_pages.without_text(
        {"type": "task-sent", "name": task, "args": args, "kwargs": "{'text': 'x'}", **more}
    )


def test_a_producer_s_own_words_are_cut_to_the_document() -> None:
    told = sent(names.PROCESS_DOCUMENT_PIPELINE, "['d1', [{'chunk_id': 'c', 'text': 'secret text'}]]")
    assert told["args"] == "('d1',)"
    assert "kwargs" not in told
    assert sent(names.GENERATE_BATCH, "('d1', batch 3)")["args"] == "('d1', batch 3)"
    assert "args" not in sent(names.GENERATE_METADATA_FOR_CHUNK, "['c', 'secret', 'd1']")
    assert "args" not in sent("another.task", "('secret',)")


def test_what_workers_tell_is_left_as_it_is() -> None:
    event = {"type": "task-received", "name": "x", "args": "('d1', [3 items])"}
    assert flower_pages.without_text(event) is event


def test_a_sweep_that_goes_well_is_no_news() -> None:
    def event(kind: str, **more: Any) -> dict[str, Any]:
        return {"type": f"task-{kind}", "uuid": "s1", **more}

    assert not flower_pages.is_news(event("received", name=names.SWEEP))
    assert not flower_pages.is_news(event("succeeded"))
    assert flower_pages.is_news(event("failed"))
    assert flower_pages.is_news({"type": "worker-heartbeat"})
    assert flower_pages.is_news({"type": "task-received", "uuid": "other", "name": names.GENERATE_BATCH})


@pytest.mark.parametrize(
    ("task", "shown"),
    [
        ({"args": "('d1', batch 3)", "name": names.GENERATE_BATCH, "result": "1"}, ("d1, batch 3", "1 chunk")),
        ({"args": "({'document_id': 'd1', 'run_id': 'r'})", "name": "x"}, ("d1", "")),
        ({"args": "('d1',)", "state": "FAILURE", "exception": "ValueError('why')"}, ("d1", "ValueError('why')")),
        (
            {"args": "", "result": FINAL},
            ("", "completed: 3,000 chunks in 4.1 s, 2 failed"),
        ),
        ({"args": "(", "result": "not a literal ("}, ("", "not a literal (")),
    ],
)  # fmt: skip
def test_tasks_are_put_in_words(task: dict[str, Any], shown: tuple[str, str]) -> None:
    plain = {"args": "", "kwargs": "{}", "state": "SUCCESS", "name": "", "result": None, "exception": None}
    made = flower_pages.format_task(SimpleNamespace(**{**plain, **task}))
    assert (made.args, made.result) == shown


def test_progress_is_put_in_words() -> None:
    event = {"type": "task-progress", "progress": {"stage": "generation", "done": 1024, "total": 3000, "percent": 34.1}}
    assert flower_pages.with_progress(event)["result"] == "generation: 1,024 of 3,000 chunks (34 %)"
