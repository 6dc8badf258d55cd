"""Options that several commands share. Each has an environment twin, shown in ``--help``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..stages.environment import Environment


class _FileOrFolder(click.Path):
    """A path; nothing (a variable that is not set) would be the current folder."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        if value == "":
            self.fail("a path is empty; . is the current folder", param, ctx)
        return super().convert(value, param, ctx)


paths = click.argument("paths", nargs=-1, required=True, type=_FileOrFolder(path_type=Path, readable=False))

document = click.argument("document")

as_json = click.option(
    "--json", "as_json", is_flag=True, envvar="SMART_RAG_JSON", show_envvar=True, help="Print JSON, for machines."
)

store = click.option(
    "--store",
    envvar="SMART_RAG_STORE_URL",
    show_envvar=True,
    metavar="URL",
    help="The store: a file, sqlite:///FILE or postgresql://…  [default: .smart_rag_tasks/store.db]",
)

generator = click.option(
    "--generator",
    envvar="SMART_RAG_GENERATOR",
    show_envvar=True,
    metavar="NAME",
    help="extractive, openai, or module:attribute of your own.  [default: extractive]",
)

workers = click.option(
    "--workers",
    type=click.IntRange(1, 512),
    envvar="WORKER_CONCURRENCY",
    show_envvar=True,
    metavar="N",
    help="Processes that generate.  [default: one a core]",
)

lane = click.option(
    "--lane",
    type=click.Choice(["bulk", "interactive"]),
    default="bulk",
    envvar="SMART_RAG_LANE",
    show_envvar=True,
    show_default=True,
    help="interactive: before all bulk work.",
)

yes = click.option("--yes", is_flag=True, envvar="SMART_RAG_YES", show_envvar=True, help="Do not ask.")


def apply(**values: Any) -> None:
    """Put options that were given into the environment: settings and child processes read them there."""
    from ..settings import file_or_url
    from .launch import set_environment

    store = values.get("SMART_RAG_STORE_URL")
    values["SMART_RAG_STORE_URL"] = store and file_or_url(store)  # child processes may work in other folders
    set_environment(**values)


def find_store(store: str | None) -> None:
    """Apply ``--store`` of a command for what is in it: a SQLite file that was named must be there, none is made."""
    apply(SMART_RAG_STORE_URL=store)
    from ..errors import InvalidSettings
    from ..settings import get_settings
    from ..store import missing_file

    named = get_settings().store
    if named and (file := missing_file(named)):
        raise InvalidSettings(f"SMART_RAG_STORE_URL: {file}: no such file; `run`, `submit` and workers make one")


def find_redis() -> None:
    """Without REDIS_URL, use the embedded server that `up` or `run` has running beside us, if there is one."""
    from ..redis_server import running_url
    from ..settings import get_settings

    settings = get_settings()
    if settings.names_redis:
        return
    running = running_url(settings.redis_home)
    if running is not None:
        apply(REDIS_URL=running)


def with_store(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that reads the store: ``--store`` and ``--json``."""
    return store(as_json(command))


def open_environment(store: str | None, *, makes: bool = False) -> Environment:
    """The environment of a command that works on the store, and on Redis where it needs it.

    ``makes``: the command adds something, so it may be the first; any other wants a store that is there.
    """
    if makes:
        apply(SMART_RAG_STORE_URL=store)
    else:
        find_store(store)
    find_redis()
    from ..stages.environment import environment

    return environment()
