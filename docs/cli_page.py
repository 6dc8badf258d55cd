"""docs/reference/cli.md, made from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from smart_rag_tasks.cli import COMMANDS, rag

INTRO = """# Command line

`smart-rag-tasks COMMAND …`, and the same group as `celery -A smart_rag_tasks rag COMMAND …`.
Made by `python docs/generate.py` from the commands themselves; `--help` says the same.

- Every option has an environment twin; what is given on the command line counts.
- `DOCUMENT` is an id, or a part of it that no other id has.
- Commands that print data print JSON with `--json`; without it they print a sentence first and fit 80 columns.
- Data goes to standard output, progress and warnings to standard error.
- Without `REDIS_URL` a command uses the embedded Redis that `up` or `run` has running in the same folder.
- Exit codes: 0 done, 1 something failed (or is wrong, for `doctor` and `monitor health`), 2 wrong usage or input,
  130 stopped by Ctrl-C, 143 by SIGTERM; `up`, `top` and `redis`, which run until they are stopped, end with 0 then.
"""


def page() -> str:
    """The whole page."""
    parts = [INTRO, _overview()]
    for name in COMMANDS:
        parts += _sections(rag, click.Context(rag, info_name="smart-rag-tasks"), name, 2)
    return "\n".join(parts)


def _overview() -> str:
    rows = [f"| [`{name}`](#{name}) | {line} |" for name, (_, line) in COMMANDS.items()]
    return "\n".join(["| command | |", "|---|---|", *rows, ""])


def _sections(group: click.Group, parent: click.Context, name: str, level: int) -> Iterator[str]:
    command = group.get_command(parent, name)
    assert command is not None, name
    context = click.Context(command, info_name=name, parent=parent)
    path = context.command_path.removeprefix("smart-rag-tasks ")
    lines = [f"{'#' * level} {path}", "", _prose(command), "", "```text", _usage(command, context), "```", ""]
    rows = [_row(option) for option in command.params if isinstance(option, click.Option) and not option.hidden]
    if rows:
        lines += ["| option | environment | default | |", "|---|---|---|---|", *rows, ""]
    yield "\n".join(lines)
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            yield from _sections(command, context, child, level + 1)


def _prose(command: click.Command) -> str:
    """The command's docstring, a sentence a line."""
    text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    return "\n\n".join(re.sub(r"(?<=[.;:]) (?=[A-Z])", "\n", part) for part in paragraphs)


def _usage(command: click.Command, context: click.Context) -> str:
    return " ".join([context.command_path, *command.collect_usage_pieces(context)])


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    takes = "" if option.is_flag or option.count else f" {_cell(option.make_metavar(click.Context(rag)))}"
    words, default = _default(option)
    variable = f"`{option.envvar}`" if option.envvar else ""
    return f"| {names}{takes} | {variable} | {default} | {_cell(words)} |"


def _default(option: click.Option) -> tuple[str, str]:
    """The help text without its ``[default: …]``, and the default."""
    words = option.help or ""
    told = re.search(r"\s*\[default: (.+?)\]$", words)
    if told:
        return words[: told.start()], _cell(told[1])
    if option.show_default and option.default is not None:
        return words, f"`{option.default}`"
    return words, ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").strip()
