"""OpenTelemetry traces, an extra: one trace a run, a span for each of its tasks, and a span over all of them.

On when OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) is set; OpenTelemetry's own variables say the rest. The
trace's id follows from the run's, so nothing has to travel with the messages, and a task that is delivered again, or
sent again by the sweep, finds its trace. No span holds a text.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from celery import signals

from .arguments import telling
from .instrumentation import context

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Span, SpanContext

logger = logging.getLogger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_provider: TracerProvider | None = None
_spans: dict[str, Span] = {}


@signals.worker_process_init.connect
def set_up(**_: Any) -> None:
    """In each pool process, after the fork: the exporter has a thread."""
    global _provider
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return
    try:
        _provider = _make_provider()
    except ModuleNotFoundError as error:
        logger.warning("traces: %s is not installed; pip install 'smart-rag-tasks[otel]'", error.name)


def _make_provider() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", "smart_rag_tasks")
    provider = TracerProvider(resource=Resource.create({"service.name": name}), id_generator=_id_generator())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


@signals.worker_process_shutdown.connect
def shut_down(**_: Any) -> None:
    """Send what was not sent yet."""
    if _provider is not None:
        _provider.shutdown()


@signals.task_prerun.connect
def begin_span(task_id: str, task: Any, **_: Any) -> None:
    """A task of a run begins. (The ids are bound by ``logging_signals``, whose receiver is connected before.)"""
    ids = context.current()
    if _provider is None or "run_id" not in ids:
        return
    from opentelemetry import trace

    parent = trace.set_span_in_context(trace.NonRecordingSpan(run_span(ids["run_id"])))
    name = task.name.removeprefix("smart_rag_tasks.")
    facts = {**ids, "messaging.destination.name": (task.request.delivery_info or {}).get("routing_key") or ""}
    _spans[task_id] = _provider.get_tracer(__name__).start_span(name, parent, attributes=facts)


@signals.task_postrun.connect
def end_span(task_id: str, retval: Any = None, state: str = "", **_: Any) -> None:
    """The task ends; if it ended its run, so does the span over all of it."""
    span = _spans.pop(task_id, None)
    if span is None:
        return
    from opentelemetry.trace import StatusCode

    span.set_attribute("celery.state", str(state))
    if state == "FAILURE":
        span.set_status(StatusCode.ERROR, type(retval).__name__)
    span.end()
    if isinstance(retval, Mapping) and "final_status" in retval:
        record_run(retval)


def record_run(result: Mapping[str, Any]) -> None:
    """The span over a run that has just ended, from its final result."""
    global _own
    if _provider is None:
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import StatusCode

    ended = time.time_ns()
    began = ended - int(float(result.get("seconds", 0)) * 1e9)
    _own = run_span(str(result["run_id"]))
    try:
        span = _provider.get_tracer(__name__).start_span(
            "document", Context(), attributes=telling(result), start_time=began
        )
    finally:
        _own = None
    if result["final_status"] == "failed":
        span.set_status(StatusCode.ERROR)
    span.end(ended)


#: The ids that the next span is to have, None for new ones. A pool process works on one task at a time.
_own: SpanContext | None = None


def _id_generator() -> IdGenerator:
    """New ids, but for a run's own span: its ids follow from the run's, as its tasks were told."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class RunIds(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            return _own.trace_id if _own else super().generate_trace_id()

        def generate_span_id(self) -> int:
            return _own.span_id if _own else super().generate_span_id()

    return RunIds()


def run_span(run_id: str) -> SpanContext:
    """The span over a run: its ids are made from the run's."""
    from opentelemetry.trace import SpanContext, TraceFlags

    digest = hashlib.sha256(run_id.encode()).digest()
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(int.from_bytes(digest[:16]), int.from_bytes(digest[16:24]), is_remote=True, trace_flags=sampled)
