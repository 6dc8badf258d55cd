"""``doctor``: what each document waits for, what is wrong with the system, and the command that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.text import Text

from ..models import TERMINAL
from . import options, output

if TYPE_CHECKING:
    from ..doctor import Finding, Report
    from ..stages.diagnosis import Waiting


_STYLES = {"ok": "green", "wrong": "red", "unknown": "yellow"}


@click.command("doctor")
@click.argument("document", required=False)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, envvar="SMART_RAG_DOCTOR_LIMIT",
              show_envvar=True, help="Documents to show.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(1, 120), default=10, show_default=True,
              envvar="SMART_RAG_DOCTOR_SECONDS", show_envvar=True, help="Look no longer than that.")  # fmt: skip
@options.with_store
def doctor_command(document: str | None, limit: int, seconds: float, store: str | None, as_json: bool) -> None:
    """Say what every document that is not done, or DOCUMENT, waits for, or why DOCUMENT failed, and what is wrong.

    Exit code 1 if something is wrong, else 0.
    """
    options.apply(SMART_RAG_STORE_URL=store)
    options.find_redis()
    from ..celery import app
    from ..doctor import examine
    from ..monitoring.checks import Subject
    from ..settings import get_settings

    subject = Subject(app, get_settings())
    report = examine(subject, _find(subject, document), seconds)
    if as_json:
        output.print_json(report.record())
    else:
        _print(report, document, limit)
    raise SystemExit(0 if report.ok else 1)


def _find(subject: object, document: str | None) -> str | None:
    if document is None:
        return None
    from ..monitoring.checks import Subject
    from ..stages.control import find_document
    from ..stages.environment import Environment

    assert isinstance(subject, Subject)
    return find_document(Environment(subject.settings, subject.store), document)


def _print(report: Report, document: str | None, limit: int) -> None:
    console = output.console()
    console.print(output.hanging("", _sentence(report, document)), soft_wrap=True)
    for waiting in report.documents[:limit]:
        _print_document(waiting)
    if len(report.documents) > limit:
        console.print(f"… {len(report.documents) - limit} more: --limit shows them", style="dim")
    wrong = sum(finding.state == "wrong" for finding in report.system)
    console.print(f"\nSystem: {wrong or 'none'} of {len(report.system)} checks {'is' if wrong < 2 else 'are'} wrong.")
    for finding in report.system:
        _print_finding(finding)


def _sentence(report: Report, document: str | None) -> str:
    if report.blind:
        return f"The documents cannot be looked at: {report.blind}"
    if document is not None:
        return _sentence_of(document, report.documents)
    count = len(report.documents)
    waits = f"{output.several(count, 'document')} {'is' if count == 1 else 'are'} not done"
    if report.failed:
        failed = f"{report.failed} failed: `smart-rag-tasks list --status failed`"
        return f"{waits if count else 'No document is under way'}, {failed}."
    return f"{waits}." if count else "All documents are done."


def _sentence_of(document: str, found: Sequence[Waiting]) -> str:
    if not found:
        return f"{document} is done: nothing is under way."
    if found[0].status in TERMINAL:
        return f"{document} has ended, {output.status_text(found[0].status)}:"
    return f"{document} waits for:"


def _print_document(waiting: Waiting) -> None:
    style = "red" if waiting.wrong else ""
    console = output.console()
    console.print(output.hanging("  ", f"{waiting.document_id}: {waiting.reason}"), style=style, soft_wrap=True)
    if waiting.command:
        console.print(f"    → {waiting.command}", soft_wrap=True)


def _print_finding(finding: Finding) -> None:
    console = output.console()
    state = Text(f"  {finding.state.value:<8}", style=_STYLES[finding.state.value])
    console.print(output.hanging(Text.assemble(state, f"{finding.name:<16} "), finding.detail), soft_wrap=True)
    if finding.command:
        console.print(f"    → {finding.command}", soft_wrap=True)
