"""When periodic entries are due: what `--every` and `--cron` take, and what they refuse in clear words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from smart_rag_tasks.errors import InvalidInput
from smart_rag_tasks.periods import as_schedule, in_words, parse_cron, parse_every, short


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30.0), ("5m", 300.0), ("1h30m", 5400.0), (" 1D ", 86_400.0), ("1.5s", 1.5)]
)
def test_periods(text: str, seconds: float) -> None:
    assert parse_every(text) == seconds
    assert parse_every(short(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 minutes", "-5m", "0s", "0.5s", "400d", "5m!", "nan", "1e3s"])
def test_wrong_periods_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^--every .*(5m|1s and 366d)"):
        parse_every(text)


def test_cron_lines() -> None:
    assert parse_cron("  */10   8-18 * *  mon-fri ") == "*/10 8-18 * * mon-fri"
    assert in_words(None, "30 4 * * *") == "cron 30 4 * * *"
    assert in_words(300.0, None) == "every 5m"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("@daily", "use five fields"),
        ("* * * *", "use five fields"),
        ("0 0 * * * *", "use five fields"),
        ("61 * * * *", "61 > 59"),
        ("0 0 30 2 *", "never occurs"),
        ("a b c d e", "'b'"),
    ],
)
def test_wrong_cron_lines_are_refused_with_the_reason(line: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parse_cron(line)


def test_an_entry_becomes_a_schedule_of_celery() -> None:
    assert as_schedule(300.0, None).run_every.total_seconds() == 300.0
    due, _ = as_schedule(None, "* * * * *").is_due(datetime(2020, 1, 1, tzinfo=UTC))
    assert due
