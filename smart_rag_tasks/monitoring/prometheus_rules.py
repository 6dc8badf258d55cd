"""The alert rules in Prometheus' words."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ..models import Json
from .alert_rules import INTERVAL, Rule


def render(rules: Iterable[Rule]) -> str:
    """A rules file (YAML) for Prometheus."""
    (group,) = groups(rules)["groups"]
    lines = [
        "# Made by `smart-rag-tasks alerts export`: change the rules with SMART_RAG_ALERTS, not here.",
        "groups:",
        f"  - name: {group['name']}",
        f"    interval: {group['interval']}",
        "    rules:",
    ]
    for rule in group["rules"]:
        lines += [
            f"      - alert: {rule['alert']}",
            f"        expr: {json.dumps(rule['expr'])}",
            f"        for: {rule['for']}",
            f"        labels: {{severity: {rule['labels']['severity']}}}",
            f"        annotations: {{summary: {json.dumps(rule['annotations']['summary'])}}}",
        ]
    return "\n".join(lines) + "\n"


def groups(rules: Iterable[Rule]) -> Json:
    """What a rules file holds."""
    ours = [
        {
            "alert": _title(rule.name),
            "expr": expression(rule),
            "for": f"{rule.hold:.0f}s",
            "labels": {"severity": rule.severity},
            "annotations": {"summary": _summary(rule)},
        }
        for rule in rules
        if rule.enabled
    ]
    return {"groups": [{"name": "smart_rag_tasks", "interval": f"{INTERVAL:.0f}s", "rules": ours}]}


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
