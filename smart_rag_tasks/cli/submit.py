"""``submit``: files to running workers; prints ids and does not wait."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import SmartRagError, StoreUnavailable
from ..models import WELL
from . import options
from .waiting import BrokerWatch, ended_by, interrupt, wait_for

if TYPE_CHECKING:
    from ..client import Client


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

    The generator's name must be one that is known here; what module:attribute names, only the workers must have.

    Exit code 0, or 1 if a file was refused (or, with --wait, a chunk failed), 2 for wrong usage.
    """
    options.apply(SMART_RAG_STORE_URL=store, SMART_RAG_GENERATOR=generator)
    options.find_redis()
    from ..client import Client
    from ..documents import find_files
    from ..settings import get_settings
    from ..stages.environment import check_generator_name
    from . import output
    from .progress import Bars

    check_generator_name(get_settings())
    records: list[dict[str, str]] = []
    files = find_files(paths, lambda path, error: records.append(_refused(path, error)))
    client = Client()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        with Bars(len(files), waits=wait) as bars:
            for path in files:
                records.append(_submit(client, path, lane))
                bars.read()
            run_ids = [record["run_id"] for record in records if wait and "run_id" in record]
            if run_ids:
                wait_for(client, run_ids, bars, BrokerWatch())
    except KeyboardInterrupt as asked:
        done = sum("run_id" in record for record in records)
        said = f"Stopped: {done:,} of {output.several(len(files), 'file')} handed over. They go on;"
        output.errors().print(f"{said} the same command hands over the rest.")
        raise SystemExit(ended_by(asked)) from None
    ends = {run_id: client.summary(run_id) for run_id in run_ids}
    refused = [record for record in records if "error" in record]
    for record in refused:
        output.errors().print(output.refusal(Path(record["source"]), record["error"]), style="red", soft_wrap=True)
    if as_json:
        output.print_json([record | ends.get(record.get("run_id", ""), {}) for record in records])
    else:
        rows = [(record["document_id"], record["run_id"]) for record in records if "run_id" in record]
        output.console().print(output.table(("*Document", "Run"), rows))
        for line in output.reasons(list(ends.values())):
            output.console().print(line)
    bad = bool(refused) or any(end["status"] not in WELL for end in ends.values())
    raise SystemExit(1 if bad else 0)


def _submit(client: Client, path: Path, lane: str) -> dict[str, str]:
    try:
        admission = client.env.store.patiently(partial(client.submit_file, path, lane=lane))
    except StoreUnavailable:
        raise  # all others would be refused, too
    except SmartRagError as error:
        return _refused(path, error)
    return {"source": str(path), "document_id": admission.document_id, "run_id": admission.run_id}


def _refused(path: Path, error: SmartRagError) -> dict[str, str]:
    return {"source": str(path), "error": str(error)}
