"""Traces as a collector gets them: one a run, its tasks below it, no text."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import SECRET, Desk, eventually

trace_service = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="needs the extra otel"
)


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Any]]]:
    """A collector's address, and the spans that it got."""
    spans: list[Any] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            request = trace_service.ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", spans
    server.shutdown()
    server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def test_one_trace_a_run_with_a_span_for_each_task(tmp_path: Path, collector: tuple[str, list[Any]]) -> None:
    url, spans = collector
    desk = Desk(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_BSP_SCHEDULE_DELAY="200")
    try:
        desk.worker()
        run = desk.submit("traced.md", [f"trace {number}" for number in range(30)])
        other = desk.submit("small.md", ["one"])
        assert eventually(lambda: len([span for span in spans if span.name == "document"]) == 2)
        assert eventually(lambda: "postprocess_results" in {span.name for span in spans})
        by_run: dict[str, list[Any]] = {}
        for span in list(spans):
            by_run.setdefault(attributes(span)["run_id"], []).append(span)
        assert set(by_run) == {run, other}
        for own in by_run.values():
            assert len({span.trace_id for span in own}) == 1
            (whole,) = (span for span in own if span.name == "document")
            assert not whole.parent_span_id
            assert all(span.parent_span_id == whole.span_id for span in own if span is not whole)
            assert all(whole.start_time_unix_nano <= span.start_time_unix_nano + 1e9 for span in own)
        names = [span.name for span in by_run[run]]
        assert names.count("generate_batch") >= 5
        assert {"preprocess_document", "generate_batch_metadata"} <= set(names)
        whole = next(span for span in by_run[run] if span.name == "document")
        assert attributes(whole)["processed_chunks"] == 30
        assert by_run[run][0].trace_id != by_run[other][0].trace_id
        assert SECRET not in str(spans)
    finally:
        desk.close()
