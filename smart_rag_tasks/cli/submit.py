"""``submit``: files to running workers; prints ids and does not wait."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import SmartRagError
from . import options


@click.command("submit")
@options.paths
@options.with_store
@options.generator
@options.lane
@click.option("--wait", is_flag=True, envvar="SMART_RAG_WAIT", show_envvar=True, help="Wait until all have ended.")
def submit_command(
    paths: tuple[Path, ...], store: str | None, as_json: bool, generator: str | None, lane: str, wait: bool
) -> None:
    """Hand every document below PATHS to running workers; prints their ids.

    Exit code 0, or 1 if a file was refused (or, with --wait, a chunk failed), 2 for wrong usage.
    """
    options.apply(SMART_RAG_STORE_URL=store, SMART_RAG_GENERATOR=generator)
    options.find_redis()
    from ..client import Client
    from ..documents import find_files
    from . import output

    files = find_files(paths)
    client = Client()
    records, bad = [], False
    for path in files:
        try:
            admission = client.submit_file(path, lane=lane)
        except SmartRagError as error:
            bad = True
            records.append({"source": str(path), "error": str(error)})
            output.errors().print(f"refused  {error}", style="red")
        else:
            records.append({"source": str(path), "document_id": admission.document_id, "run_id": admission.run_id})
    if wait:
        ends = [client.result(record["run_id"], timeout=float("inf")) for record in records if "run_id" in record]
        bad = bad or any(end.final_status not in ("completed", "empty") for end in ends)
    if as_json:
        output.print_json(records)
    else:
        rows = [(record["document_id"], record["run_id"]) for record in records if "run_id" in record]
        output.console().print(output.table(("*Document", "Run"), rows))
    raise SystemExit(1 if bad else 0)
