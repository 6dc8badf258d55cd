"""The openai generator against a real HTTP server that speaks the chat-completions protocol."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from smart_rag_tasks.errors import InvalidSettings
from smart_rag_tasks.metadata import load_generator
from smart_rag_tasks.metadata.openai import OpenAIGenerator
from smart_rag_tasks.models import Chunk, ChunkFailure, ChunkMetadata, DocumentContext, Entity

SECRET = "sk-secret-of-the-test"
DOCUMENT = DocumentContext("d", title="The lake")


class Service:
    """A model's service on a free port: ``answer`` makes (status, headers, body) of a request."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.answer: Callable[[dict[str, Any]], tuple[int, dict[str, str], str]] = complete
        self.open = self.most_open = 0
        self._lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with service._lock:
                    service.requests.append(body | {"path": self.path})
                    service.keys.append(self.headers["authorization"])
                    service.open += 1
                    service.most_open = max(service.most_open, service.open)
                try:
                    status, headers, text = service.answer(body)
                finally:
                    with service._lock:
                        service.open -= 1
                if status == 0:  # the connection is lost
                    self.connection.close()
                    return
                self.send_response(status)
                payload = text.encode()
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def generator(self, **options: Any) -> OpenAIGenerator:
        return OpenAIGenerator(**{"base_url": self.url, "api_key": SECRET, "timeout": 5.0, **options})


def asked(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The chunks in a request."""
    chunks: list[dict[str, Any]] = json.loads(body["messages"][1]["content"])["chunks"]
    return chunks


def item(chunk: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": chunk["id"],
        "keywords": ["clear water", "deep lake"],
        "summary": f"Summary of {chunk['text']}.",
        "gist": "A lake",
        "entities": [{"text": "Lake Baikal", "kind": "place"}, {"text": "x", "kind": "unheard of"}],
        "language": "en",
        "questions": ["How deep is it?", "How deep is it?"],
    } | fields


def completion(content: str, finish: str = "stop", tokens: int = 100) -> tuple[int, dict[str, str], str]:
    message = {"role": "assistant", "content": content}
    return (
        200,
        {},
        json.dumps(
            {
                "id": "c1",
                "object": "chat.completion",
                "created": 1,
                "model": "m",
                "choices": [{"index": 0, "finish_reason": finish, "message": message}],
                "usage": {"prompt_tokens": tokens - 10, "completion_tokens": 10, "total_tokens": tokens},
            }
        ),
    )


def complete(body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
    return completion(json.dumps({"chunks": [item(chunk) for chunk in asked(body)]}))


def error(status: int, code: str = "", **headers: str) -> Callable[[dict[str, Any]], tuple[int, dict[str, str], str]]:
    """An answer that quotes the request, as some services do."""
    return lambda body: (status, headers, json.dumps({"error": {"message": str(body), "code": code}}))


def chunks(count: int) -> list[Chunk]:
    return [Chunk(f"c{place}", f"hidden text {place}", place, ("Depth",)) for place in range(count)]


def failure(outcome: object) -> ChunkFailure:
    assert isinstance(outcome, ChunkFailure)
    assert "hidden" not in f"{outcome}"
    assert SECRET not in f"{outcome}"
    return outcome


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.server.shutdown()
    service.server.server_close()


def test_metadata_of_several_chunks_come_from_one_call(service: Service) -> None:
    outcomes = service.generator().generate(chunks(3), DOCUMENT)

    assert 1 == len(service.requests)
    assert [f"Bearer {SECRET}"] == service.keys
    assert "/v1/chat/completions" == service.requests[0]["path"]
    assert {"type": "json_object"} == service.requests[0]["response_format"]
    assert ["Depth"] == asked(service.requests[0])[0]["headings"]
    assert "The lake" in service.requests[0]["messages"][1]["content"]
    first = outcomes[0]
    assert isinstance(first, ChunkMetadata)
    assert ("clear water", "deep lake") == first.keywords
    assert "Summary of hidden text 0." == first.summary
    assert (Entity("Lake Baikal", "place"), Entity("x", "term")) == first.entities
    assert ("How deep is it?",) == first.questions
    assert [34, 33, 33] == [outcome.tokens for outcome in outcomes if isinstance(outcome, ChunkMetadata)]


def test_many_chunks_go_in_several_calls_at_a_time_and_keep_their_order(service: Service) -> None:
    def slow(body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        time.sleep(0.1)
        return complete(body)

    service.answer = slow
    generator = service.generator(chunks_per_call=2, concurrency=3)
    outcomes = generator.generate(chunks(11), DOCUMENT)

    assert [f"Summary of hidden text {place}." for place in range(11)] == [
        outcome.summary for outcome in outcomes if isinstance(outcome, ChunkMetadata)
    ]
    assert 6 == len(service.requests)
    assert 2 <= service.most_open <= 3
    assert 6 == generator.max_batch


def test_it_works_twice_in_one_process(service: Service) -> None:
    generator = service.generator()
    assert generator.generate(chunks(1), DOCUMENT) == generator.generate(chunks(1), DOCUMENT)


def test_a_chunk_that_the_answer_lacks_fails_alone(service: Service) -> None:
    def forgetful(body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        return completion(json.dumps({"chunks": [item(chunk) for chunk in asked(body) if chunk["id"] != "2"]}))

    service.answer = forgetful
    first, second, third = service.generator().generate(chunks(3), DOCUMENT)

    assert isinstance(first, ChunkMetadata)
    assert isinstance(third, ChunkMetadata)
    assert ("MalformedAnswer", True) == (failure(second).kind, failure(second).transient)
    assert 100 == first.tokens + third.tokens


def test_an_answer_that_breaks_off_keeps_what_is_whole(service: Service) -> None:
    def broken(body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        text = json.dumps({"chunks": [item(chunk) for chunk in asked(body)]})
        return completion(text[: text.index('"id": "2"') + 40], finish="length")

    service.answer = broken
    first, second = service.generator().generate(chunks(2), DOCUMENT)

    assert isinstance(first, ChunkMetadata)
    assert "cut off" in failure(second).message


@pytest.mark.parametrize(
    "content", ["I am sorry, Dave.", "[]", "null", '{"chunks": "none"}', '{"chunks": [1, null]}', ""]
)
def test_an_answer_that_is_no_json_of_ours_fails_every_chunk(service: Service, content: str) -> None:
    service.answer = lambda body: completion(content)
    for outcome in service.generator().generate(chunks(2), DOCUMENT):
        assert ("MalformedAnswer", True) == (failure(outcome).kind, failure(outcome).transient)


def test_fields_of_wrong_types_are_left_out(service: Service) -> None:
    service.answer = lambda body: completion(
        "```json\n"
        + json.dumps({"chunks": [{"id": 1, "keywords": "many", "summary": ["x"], "entities": {"a": 1}, "language": 7}]})
        + "\n```"
    )
    (outcome,) = service.generator().generate([Chunk("c", "这是一段中文文字")], DOCUMENT)
    assert ChunkMetadata(language="zh", tokens=100) == outcome


@pytest.mark.parametrize(
    ("answer", "kind", "transient", "retry_after"),
    [
        (error(429, **{"retry-after": "7"}), "RateLimited", True, 7.0),
        (error(429), "RateLimited", True, None),
        (error(429, "insufficient_quota"), "QuotaExhausted", False, None),
        (error(500), "InternalServerError", True, None),
        (error(503, **{"retry-after": "2.5"}), "InternalServerError", True, 2.5),
        (error(408), "APIStatusError", True, None),
        (error(401), "AuthenticationError", False, None),
        (error(404), "NotFoundError", False, None),
        (error(400), "BadRequestError", False, None),
        (lambda body: (0, {}, ""), "APIConnectionError", True, None),
        (lambda body: completion("", finish="content_filter"), "ContentRefused", False, None),
    ],
)
def test_faults_are_told_apart(
    service: Service, answer: Any, kind: str, transient: bool, retry_after: float | None
) -> None:
    service.answer = answer
    (outcome,) = service.generator().generate(chunks(1), DOCUMENT)
    assert (kind, transient, retry_after) == (
        failure(outcome).kind,
        failure(outcome).transient,
        failure(outcome).retry_after,
    )


def test_retry_after_may_be_a_date(service: Service) -> None:
    when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    service.answer = error(429, **{"retry-after": when})
    (outcome,) = service.generator().generate(chunks(1), DOCUMENT)
    assert 25 < (failure(outcome).retry_after or 0) <= 30


def test_a_service_that_does_not_answer_is_a_time_out(service: Service) -> None:
    def late(body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        time.sleep(0.6)
        return complete(body)

    service.answer = late
    (outcome,) = service.generator(timeout=0.2).generate(chunks(1), DOCUMENT)
    assert ("APITimeoutError", True) == (failure(outcome).kind, failure(outcome).transient)


def test_a_service_that_is_not_there_is_a_lost_connection() -> None:
    gone = OpenAIGenerator(base_url="http://127.0.0.1:9/v1", api_key=SECRET)
    (outcome,) = gone.generate(chunks(1), DOCUMENT)
    assert ("APIConnectionError", True) == (failure(outcome).kind, failure(outcome).transient)


def test_the_chunk_that_a_call_is_refused_for_fails_alone(service: Service) -> None:
    def picky(body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        refused = any(chunk["text"] == "hidden text 2" for chunk in asked(body))
        return error(400)(body) if refused else complete(body)

    service.answer = picky
    outcomes = service.generator().generate(chunks(5), DOCUMENT)
    assert [True, True, False, True, True] == [isinstance(outcome, ChunkMetadata) for outcome in outcomes]
    assert not failure(outcomes[2]).transient


def test_one_failed_call_leaves_the_others_alone(service: Service) -> None:
    def partly(body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        return error(429)(body) if asked(body)[0]["text"].endswith("0") else complete(body)

    service.answer = partly
    outcomes = service.generator(chunks_per_call=2).generate(chunks(4), DOCUMENT)
    assert [False, False, True, True] == [isinstance(outcome, ChunkMetadata) for outcome in outcomes]


def test_a_schema_is_asked_for_where_the_endpoint_knows_it(service: Service) -> None:
    service.generator(structure="json_schema", temperature=None, max_tokens=500).generate(chunks(1), DOCUMENT)
    service.generator(structure="none").generate(chunks(1), DOCUMENT)
    with_schema, without = service.requests
    assert "json_schema" == with_schema["response_format"]["type"]
    assert 500 == with_schema["max_tokens"]
    assert "temperature" not in with_schema
    assert "response_format" not in without


def test_lone_surrogates_do_not_stop_a_call(service: Service) -> None:
    (outcome,) = service.generator().generate([Chunk("c", "a\ud800b")], DOCUMENT)
    assert isinstance(outcome, ChunkMetadata)


def test_the_fingerprint_covers_what_changes_the_answer_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(**options: Any) -> str:
        return OpenAIGenerator(**{"api_key": SECRET, "base_url": "http://127.0.0.1:9/v1", **options}).fingerprint

    same = made()
    assert same == made(api_key="another", timeout=9.0, concurrency=2, chunks_per_call=3)
    different = [made(model="m"), made(questions=0), made(temperature=1.0), made(base_url="http://127.0.0.1:8/v1")]
    assert 5 == len({same, *different})
    assert SECRET not in same
    assert SECRET not in repr(OpenAIGenerator(api_key=SECRET))


def test_the_key_comes_from_the_environment_too(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-environment")
    OpenAIGenerator(base_url=service.url).generate(chunks(1), DOCUMENT)
    assert ["Bearer sk-from-environment"] == service.keys


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "OPENAI_API_KEY"),
        ({"api_key": "k", "chunks_per_call": 0}, "chunks_per_call must be between 1 and 64"),
        ({"api_key": "k", "timeout": "long"}, "timeout must be between"),
        ({"api_key": "k", "structure": "xml"}, "structure must be"),
        ({"api_key": "k", "modell": "m"}, "modell"),
    ],
)
def test_wrong_options_are_refused_by_name(
    options: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(InvalidSettings, match=words):
        load_generator("openai", options)


def test_the_document_is_described_without_a_call(service: Service) -> None:
    generator = service.generator()
    pairs = zip(chunks(2), [ChunkMetadata(keywords=("lake",), language="en")] * 2, strict=True)
    assert "The lake" == generator.describe(DOCUMENT, pairs).title
    assert [] == service.requests
