"""The command line as people meet it: every command documented, helped quickly, within 80 columns, with twins."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from prose import ROOT

from smart_rag_tasks.cli import COMMANDS, rag
from smart_rag_tasks.settings import misspelt

#: Seconds of processor time: what a person waits for on an idle machine, and steady on a busy one.
QUICK = 1.0

#: Columns.
WIDTH = 80


def every(
    command: click.Command = rag, parent: click.Context | None = None, name: str = ""
) -> Iterator[tuple[str, click.Command]]:
    """Every command and group below, as it is typed."""
    context = click.Context(command, parent=parent)
    if name:
        yield name, command
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None, f"{name} {child}"
            yield from every(found, context, f"{name} {child}".strip())


def test_every_command_stands_in_the_reference() -> None:
    text = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^#{2,3} (.+)$", text, re.MULTILINE))
    assert set(COMMANDS) <= {name for name, _ in every()}
    assert {name for name, _ in every()} == headings


def test_every_option_has_an_environment_twin_shown_in_its_help() -> None:
    lacking = [
        f"{name} {option.opts[0]}"
        for name, command in every()
        for option in command.params
        if isinstance(option, click.Option) and not (option.envvar and option.show_envvar)
    ]
    assert lacking == []


def test_no_twin_is_taken_for_a_misspelt_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = {str(option.envvar) for _, command in every() for option in command.params if option.envvar}
    compose = re.findall(r"SMART_RAG_\w+", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    for name in {*twins, *compose}:
        monkeypatch.setenv(name, "x")
    assert "" == misspelt()


def test_every_command_speaks_json() -> None:
    assert [] == [
        name
        for name, command in every()
        if not isinstance(command, click.Group) and not any("--json" in option.opts for option in command.params)
    ]


def test_help_fits_80_columns() -> None:
    for name, _ in every():
        shown = CliRunner().invoke(rag, [*name.split(), "--help"])
        assert shown.exit_code == 0, name
        assert "Usage:" in shown.output
        long = [line for line in shown.output.splitlines() if len(line) > WIDTH]
        assert not long, f"{name}: {long}"


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=lambda words: " ".join(words) or "(all)")
def test_help_is_quick(words: list[str]) -> None:
    program = [sys.executable, "-c", "from smart_rag_tasks.cli import main; main()", *words, "--help"]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert used.ru_utime + used.ru_stime < QUICK
