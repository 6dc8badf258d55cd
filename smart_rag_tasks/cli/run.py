"""``run``: an embedded server and a worker, files in, metadata out; run again, it goes on or does what changed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import SmartRagError, StoreUnavailable, UnknownRun
from ..models import WELL, Json
from . import options
from .waiting import BrokerWatch, ended_by, interrupt, wait_for

if TYPE_CHECKING:
    from ..processes import Supervisor

#: Seconds that a sink is waited for; what it has not taken then, the next workers give it.
SINK_PATIENCE = 30.0

#: Starts of a worker that are put down to bad luck.
MOST_STARTS = 6


@click.command("run")
@options.paths
@options.with_store
@options.workers
@options.generator
def run_command(
    paths: tuple[Path, ...], store: str | None, as_json: bool, workers: int | None, generator: str | None
) -> None:
    """Give every document below PATHS its metadata, here and now.

    Starts what it needs (an embedded Redis unless REDIS_URL is set, and a worker) and stops it again.
    Run it again: only what changed is done. Exit code 0, or 1 if something failed, 2 for wrong usage.
    """
    options.apply(SMART_RAG_STORE_URL=store, WORKER_CONCURRENCY=workers, SMART_RAG_GENERATOR=generator)
    from ..documents import find_files
    from . import output

    started = time.monotonic()
    signal.signal(signal.SIGTERM, interrupt)
    job = Job()
    job.folders = [path for path in paths if path.is_dir()]
    job.files = find_files(paths, job.refuse)
    try:
        job.work()
    except KeyboardInterrupt as asked:
        output.errors().print("Stopped. Nothing is lost: the same command goes on where this one was stopped.")
        raise SystemExit(ended_by(asked)) from None
    if as_json:
        output.print_json(job.records())
    else:
        job.show(time.monotonic() - started)
    if job.left_behind:
        output.errors().print(job.without_file(), soft_wrap=True)
    raise SystemExit(1 if job.failed() else 0)


def _check(supervisor: Supervisor, log: Path) -> None:
    """Raise when a worker dies again and again: nothing will come of waiting."""
    if supervisor.refusing() or max(supervisor.starts().values()) > MOST_STARTS:
        raise SmartRagError(f"the worker does not stay alive; the reason is at the end of {log}")


@dataclass
class Job:
    """The files of one ``run``."""

    folders: Sequence[Path] = ()
    files: Sequence[Path] = ()
    #: Documents whose file in one of the folders is gone.
    left_behind: list[str] = field(default_factory=list)
    #: Path and run id of each file that was taken.
    taken: list[tuple[Path, str]] = field(default_factory=list)
    #: Path and reason of each file that was refused, or whose run was forgotten meanwhile.
    refused: list[tuple[Path, str]] = field(default_factory=list)
    _client: Any = None
    _records: list[Json] = field(default_factory=list)

    def work(self) -> None:
        """Start server and worker, submit, wait, stop them."""
        from ..client import Client
        from ..processes import Supervisor
        from ..settings import get_settings, misspelt
        from . import launch, output

        launch.check(get_settings())
        if slip := misspelt():  # the workers' warning goes into run.log
            output.errors().print(f"Warning: {slip}", style="yellow", soft_wrap=True)
        with ExitStack() as stack:
            settings = stack.enter_context(launch.redis_for(get_settings()))
            settings = launch.quick_shutdown(settings)
            broker = BrokerWatch()

            def check() -> None:
                broker()
                _check(supervisor, home / "run.log")

            broker()
            home = Path(settings.home)
            home.mkdir(parents=True, exist_ok=True)
            log = stack.enter_context((home / "run.log").open("a", encoding="utf-8"))
            self._client = Client(settings)
            workers = [launch.worker(settings, number + 1) for number in range(settings.worker_count)]
            supervisor = stack.enter_context(Supervisor(workers, out=log, colour=False))
            try:
                self._follow(check)
            except KeyboardInterrupt:
                output.errors().print(f"Stopping: workers have {settings.soft_shutdown:g} s to give back their work.")
                raise
            self._collect()

    def _follow(self, check: Callable[[], None]) -> None:
        from .progress import POLL, Bars

        with Bars(len(self.files)) as bars:
            looked = time.monotonic()
            for path in self.files:
                self._submit(path)
                bars.read()
                if time.monotonic() - looked >= POLL:  # a look costs as much as a small file
                    look = partial(self._client.progress, self._run_ids())
                    done, total, _ = self._client.env.store.patiently(look)
                    bars.generated(done, total)
                    looked = time.monotonic()
            wait_for(self._client, self._run_ids(), bars, check)
            deadline = time.monotonic() + SINK_PATIENCE
            while self._client.feeding() and time.monotonic() < deadline:
                time.sleep(POLL)

    def _submit(self, path: Path) -> None:
        try:
            admission = self._client.env.store.patiently(partial(self._client.submit_file, path))
        except StoreUnavailable:
            raise  # all others would be refused, too
        except SmartRagError as error:
            self.refuse(path, error)
        else:
            self.taken.append((path, admission.run_id))

    def refuse(self, path: Path, error: SmartRagError) -> None:
        """Note that a path gives no document, and why."""
        self.refused.append((path, str(error)))

    def _run_ids(self) -> list[str]:
        return [run_id for _, run_id in self.taken]

    def _collect(self) -> None:
        for path, run_id in self.taken:
            try:
                self._records.append(self._client.summary(run_id))
            except UnknownRun as error:
                self.refuse(path, error)
        self.left_behind = self._client.without_file(self.folders)

    def failed(self) -> bool:
        """Whether a file was refused, a chunk failed, or a document was cancelled, superseded or deleted."""
        return bool(self.refused) or any(record["status"] not in WELL for record in self._records)

    def records(self) -> list[Json]:
        """One record a file, refused ones included."""
        refused = [{"source": str(path), "status": "refused", "error": reason} for path, reason in self.refused]
        return self._records + refused

    def show(self, seconds: float) -> None:
        """The table, what was refused and why, and a sentence."""
        from . import output

        console = output.console()
        rows = [
            (
                record["document_id"],
                record["title"],
                output.counts(record),
                record["language"],
                ", ".join(record["keywords"]),
                output.status_text(_status(record)),
                output.duration(record["seconds"]),
            )
            for record in self._records
        ]
        columns = ("**Document", "**Title", ">Chunks", "Lang", "***Top keywords", "Status", ">Time")
        if rows:
            console.print(output.table(columns, rows))
        for line in output.reasons(self._records):
            console.print(line)
        for path, reason in self.refused:
            console.print(output.refusal(path, reason), style="red", soft_wrap=True)
        console.print(self._sentence(seconds))

    def without_file(self) -> str:
        """A sentence on the documents whose file is gone."""
        from .output import REASONS, printable, several

        names = "\n".join(map(printable, self.left_behind[:REASONS]))
        more = "\n…" if len(self.left_behind) > REASONS else ""
        return (
            f"No file any more: {several(len(self.left_behind), 'document')};"
            f" `smart-rag-tasks delete DOCUMENT` removes one:\n{names}{more}"
        )

    def _sentence(self, seconds: float) -> str:
        from .output import duration, several

        total, done, unchanged, failed = (
            sum(record[name] for record in self._records) for name in ("total", "done", "unchanged", "failed")
        )
        words = f"{several(len(self._records), 'document')}, {several(total, 'chunk')} in {duration(seconds)}"
        words += f": {done - unchanged - failed} generated, {unchanged} unchanged, {failed} failed"
        if done < total:
            words += f", {total - done} not done"
        words += f".\n{several(len(self.refused), 'file')} refused" if self.refused else ""
        return f"\n{words}." + ("\n`smart-rag-tasks show DOCUMENT` shows one." if self._records else "")


def _status(record: Json) -> str:
    nothing_new = record["status"] == "completed" and record["unchanged"] == record["total"] > 0
    return "unchanged" if nothing_new else str(record["status"])
