"""The alert rules in Prometheus' words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from .alert_rules import INTERVAL, Rule


def render(rules: Iterable[Rule]) -> str:
    """A rules file (YAML) for Prometheus."""
    return "\n".join(_lines(rules)) + "\n"


def _lines(rules: Iterable[Rule]) -> Iterator[str]:
    yield "# Made by `smart-rag-tasks alerts export`: change the rules with SMART_RAG_ALERTS, not here."
    yield "groups:"
    yield "  - name: smart_rag_tasks"
    yield f"    interval: {INTERVAL:.0f}s"
    yield "    rules:"
    for rule in rules:
        if rule.enabled:
            yield f"      - alert: {_title(rule.name)}"
            yield f"        expr: {json.dumps(expression(rule))}"
            yield f"        for: {rule.hold:.0f}s"
            yield f"        labels: {{severity: {rule.severity}}}"
            yield f"        annotations: {{summary: {json.dumps(_summary(rule))}}}"


def expression(rule: Rule) -> str:
    """The rule as PromQL."""
    threshold = f"{rule.threshold:g}"
    filled = rule.promql.format(threshold=threshold)
    return filled if "{threshold}" in rule.promql else f"{filled} {rule.operator} {threshold}"


def _title(name: str) -> str:
    return "SmartRag" + "".join(part.capitalize() for part in name.split("_"))


def _summary(rule: Rule) -> str:
    value = "{{ $value | humanizePercentage }}" if rule.unit == "%" else "{{ $value | humanize }}"
    value += f" {rule.unit}" if rule.unit == "s" else ""
    subject = "{{ $labels.queue }}{{ $labels.worker }}"
    return rule.message.format(subject=subject, value=value, threshold=rule.number(rule.threshold))
