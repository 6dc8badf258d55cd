"""The command line (floor 9): ``smart-rag-tasks …``, and the same group as ``celery -A smart_rag_tasks rag …``.

Each command lives in a module beside this one and is imported when it is called: ``--help`` stays fast.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import click

#: Command, its module in this package, and the line that ``--help`` shows.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run", "Files in, metadata out: server and worker included."),
    "submit": ("submit", "Hand files to running workers."),
    "up": ("up", "Redis, worker, beat and Flower in one terminal."),
    "status": ("inspect", "What is done, what waits, what failed."),
    "list": ("inspect", "Documents, the newest first."),
    "show": ("inspect", "A document's metadata, and its chunks'."),
    "export": ("inspect", "Chunks with metadata as JSON lines."),
    "delete": ("control", "Delete a document, also while it is worked on."),
    "cancel": ("control", "Stop the work on a document."),
    "pause": ("control", "Let a document's work wait."),
    "resume": ("control", "Let a paused document go on."),
    "retry": ("control", "Try a document's failed chunks again."),
    "regenerate": ("control", "Generate a document's metadata again."),
    "watch": ("watch", "Folders that are kept up to date."),
    "schedule": ("schedule", "Periodic work: list, add, pause, run now."),
    "dead-letters": ("dead_letters", "What could not be done: list, retry, discard."),
    "monitor": ("monitor", "Workers, tasks, queues, health."),
    "top": ("top", "Watch it live."),
    "alerts": ("alerts", "Rules: what is wrong now, who is told."),
    "exporter": ("exporter", "Metrics for Prometheus."),
    "doctor": ("doctor", "What each document waits for, and what is wrong."),
    "migrate": ("migrate", "From RQ to Celery and back, losing nothing."),
    "redis": ("redis", "The embedded Redis server alone, for the Procfile."),
    "rq": ("rq", "RQ workers and their state, kept for a rollback."),
}


#: What writing to standard output may end with, beside a reader that has gone (which is no error).
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"{__name__}.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_") + "_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """An error of ours is one line and its exit code, never a traceback; so is a file that cannot be used."""
        from ..errors import SmartRagError

        try:
            # As for the workers: a generator or sink may lie in the current folder.
            sys.path.append(_current_folder())
            done = super().invoke(ctx)
            sys.stdout.flush()  # here, where an error is told, not at the interpreter's end
            return done
        except SmartRagError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            ctx.exit(130)
        except UnicodeEncodeError as error:
            if error.reason != "surrogates not allowed":
                raise
            click.echo("Error: an argument or a file's name is no UTF-8; write it so, or set LC_ALL=C.UTF-8", err=True)
            ctx.exit(2)
        except OSError as error:
            if error.filename is None and error.errno not in _UNWRITABLE:
                raise
            if error.filename is None:
                click.echo(f"Error: the output cannot be written: {error.strerror}", err=True)
                _drop_output()
                ctx.exit(1)
            name = click.format_filename(error.filename)
            click.echo(f"Error: {name}: {error.strerror}; check the path and its permissions", err=True)
            ctx.exit(2)


def _current_folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        click.echo("Error: the current folder is not there any more; go to another one", err=True)
        raise SystemExit(2) from None


def _drop_output() -> None:
    """What standard output still holds goes nowhere: the interpreter's end would fail on it again."""
    with suppress(OSError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(package_name="smart-rag-tasks")
def rag() -> None:
    """Metadata for the chunks of your RAG system's documents, with Celery."""


def main() -> None:
    """The program ``smart-rag-tasks``."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115  (closed by the caller)
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that has no Chinese
    rag(prog_name="smart-rag-tasks")
