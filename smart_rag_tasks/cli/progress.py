"""Progress bars on standard error, one a stage: reading files, generating metadata."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from .output import errors, printable

#: Seconds between two looks at the store.
POLL = 0.15


class RateColumn(ProgressColumn):
    """``812 chunks/s``."""

    def render(self, task: Task) -> Text:
        """The smoothed speed, blank before there is one."""
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "")
        return Text(f"{speed:,.0f} {unit}/s" if speed else "", style="dim")


class Bars:
    """A bar for each stage, only the first if nobody waits; not shown where standard error is no terminal."""

    def __init__(self, files: int, *, waits: bool = True) -> None:
        console = errors()
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            RateColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._reading = self._progress.add_task("Reading", total=files, unit="files")
        self._generating = self._progress.add_task("Generating", total=None, unit="chunks", visible=waits)

    def read(self) -> None:
        """One more file was read."""
        self._progress.advance(self._reading)

    def generated(self, done: int, total: int) -> None:
        """So many chunks of so many are done."""
        self._progress.update(self._generating, completed=done, total=total or None)

    def say(self, line: str) -> None:
        """A line above the bars, or where they would be."""
        self._progress.console.print(Text(printable(line), style="yellow"), soft_wrap=True)

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
