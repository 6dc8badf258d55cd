"""``watch``: folders whose documents are kept up to date by beat and the workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..models import Json
from . import options, output
from .schedule import ago, every

folder_argument = click.argument("folder", type=click.Path(path_type=Path, readable=False))


@click.group("watch", context_settings={"max_content_width": 80})
def watch_command() -> None:
    """Watched folders: new, changed and removed files are noticed by themselves."""


@watch_command.command("add")
@folder_argument
@every
@options.with_store
def add_command(folder: Path, every: str | None, store: str | None, as_json: bool) -> None:
    """Watch FOLDER, every 5 minutes unless --every says otherwise.

    The workers read its files; a file that is removed takes its document with it.
    """
    from ..periods import parse_every
    from ..stages import timetable

    seconds = parse_every(every) if every is not None else None
    path, new = timetable.watch(options.open_environment(store, makes=True), folder, seconds)
    words = "is watched" if new else "is watched already" if seconds is None else f"is watched every {every}"
    output.say(as_json, f"{path} {words}.", folder=path, added=new)


@watch_command.command("list")
@options.with_store
def list_command(store: str | None, as_json: bool) -> None:
    """Watched folders: what the last scan of each found."""
    env = options.open_environment(store)
    records = _records(env)
    if as_json:
        output.print_json(records)
        return
    console = output.console()
    if not records:
        console.print("No folder is watched; `smart-rag-tasks watch add FOLDER` adds one.")
        return
    rows = [
        (
            record["folder"],
            record["when"] if record["enabled"] else "paused",
            record["files"],
            record["refused"],
            ago(record["last"].get("at")),
        )
        for record in records
    ]
    console.print(output.table(("*Folder", "When", ">Files", ">Refused", ">Scanned"), rows))
    for record in records:
        if record["last"].get("problem"):
            console.print(record["last"]["problem"], style="yellow", soft_wrap=True)


def _records(env: Any) -> list[Json]:
    from .. import names
    from ..periods import in_words
    from ..stages import rescan
    from ..store import schedules, watched

    with env.store.read() as connection:
        rows = [row for row in schedules.of_task(connection, names.RESCAN) if row.kwargs.get("folder")]
        files, refused = watched.count(connection), watched.refused(connection)
    lasts = rescan.last_scans(env)
    return [
        {
            "folder": folder,
            "when": in_words(row.every, row.cron),
            "every": row.every,
            "cron": row.cron,
            "enabled": row.enabled,
            "files": files.get(folder, 0),
            "refused": sum(1 for file in refused if file.folder == folder),
            "last": lasts.get(folder, {}),
        }
        for row in rows
        for folder in [row.kwargs["folder"]]
    ]


@watch_command.command("remove")
@folder_argument
@options.with_store
def remove_command(folder: Path, store: str | None, as_json: bool) -> None:
    """Stop watching FOLDER; its documents stay."""
    from ..stages import timetable

    path = timetable.unwatch(options.open_environment(store), folder)
    output.say(as_json, f"{path} is not watched any more; its documents stay.", folder=path, removed=True)
