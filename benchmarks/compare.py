"""RQ, plain Celery and this product at the same work: the performance test that the requirements document sketched.

    python benchmarks/compare.py                    # about eight minutes; writes the table and picture in docs/
    python benchmarks/compare.py --rounds 1 --sizes 100 --no-recovery --out /tmp/x

Each system has a Redis of its own and two worker slots; the work is 1.6 ms of CPU a chunk and one row in SQLite. What
is counted is finished rows, seen from outside. Rounds are interleaved: each goes once through all systems, in another
order. A round that has not ended after ``--cap`` seconds is counted as far as it came. Medians, spread as min–max.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import Any

import psutil

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from compare_systems import SYSTEMS, System, chunk  # noqa: E402

SIZES = (100, 500, 1000, 2000)
#: Single tasks whose latency is taken, one after the other, in each round.
LATENCIES = 15
#: Seconds after which a recovery counts as not seen.
RECOVERY_CAP = 100.0
ROOT = HERE.parent
#: Between these lines of the page stands what was measured.
BEGIN, END = "<!-- measured -->", "<!-- end of what was measured -->"


@dataclass
class Numbers:
    """What was measured of one system."""

    #: (kind, size) → finished a second, each round.
    rates: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    latencies: list[float] = field(default_factory=list)
    #: MB of the workers at the end of a round, each shared page counted once.
    memory: list[float] = field(default_factory=list)
    #: Seconds of the workers' CPU for each finished chunk.
    cpu: list[float] = field(default_factory=list)
    #: Seconds; None: not seen within RECOVERY_CAP; -1: not measured.
    recovery: float | None = -1.0

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        rates = [[kind, size, values] for (kind, size), values in self.rates.items()]
        return {"rates": rates, "latencies": self.latencies, "memory": self.memory, "cpu": self.cpu}

    def add(self, found: dict[str, Any]) -> None:
        """Take in what another process measured."""
        for kind, size, values in found["rates"]:
            self.rates[kind, size] += values
        self.latencies += found["latencies"]
        self.memory += found["memory"]
        self.cpu += found["cpu"]


class CpuMeter:
    """CPU seconds of a process family, those of processes that end meanwhile included."""

    def __init__(self, system: System) -> None:
        self.system, self.seen, self.stop = system, {}, Event()
        self.thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self.stop.wait(0.05):
            self._look()

    def _look(self) -> None:
        for process in self.system.family():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            # a parent's children_* hold those that have ended and were waited for
            own = times.user + times.system + times.children_user + times.children_system
            self.seen.setdefault(process.pid, [own, own])[1] = own

    def __enter__(self) -> CpuMeter:
        self._look()
        self.first = set(self.seen)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
        self._look()

    @property
    def seconds(self) -> float:
        """Of those that were there at the beginning, their ended children in them."""
        return sum(end - begin for pid, (begin, end) in self.seen.items() if pid in self.first)


def main() -> int:
    """Measure and write."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    options = _options()
    if options.one:
        alone(options)
        return 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        numbers = measure(Path(folder), options, began)
        if options.recovery:
            recoveries(Path(folder), numbers)
    report = {"machine": machine(), "minutes": round((time.monotonic() - began) / 60, 1), "rows": rows(numbers)}
    options.out.mkdir(parents=True, exist_ok=True)
    write(report, numbers, options)
    print(markdown(report, numbers))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--cap", type=float, default=2.5, help="seconds for one round of one system and size")
    parser.add_argument("--minutes", type=float, default=4.0, help="no further round begins after that")
    parser.add_argument("--no-recovery", dest="recovery", action="store_false")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only-recovery", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--data", type=Path, default=ROOT / "smart_rag_tasks" / "rq_compat" / "measured.json")
    return parser.parse_args()


def measure(folder: Path, options: argparse.Namespace, began: float) -> dict[str, Numbers]:
    """All rounds; each system's in a process of its own: what a client library keeps would go to the next one."""
    numbers = {kind.name: Numbers() for kind in SYSTEMS}
    for number in range(options.rounds):
        if time.monotonic() - began > options.minutes * 60:
            break
        for kind in random.Random(number).sample(SYSTEMS, len(SYSTEMS)):
            words = ["--sizes", *map(str, options.sizes), "--cap", str(options.cap)]
            found = in_a_process(kind, folder / f"{number}-{kind.__name__}", *words)
            numbers[kind.name].add(found)
            print(f"round {number + 1}, {kind.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return numbers


def in_a_process(kind: type[System], home: Path, *words: str) -> Any:
    """What this program prints for one system."""
    argv = [sys.executable, __file__, "--one", kind.__name__, "--home", str(home), *words]
    return json.loads(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout)


def alone(options: argparse.Namespace) -> None:
    """One system's round, or its recovery, as JSON on standard output."""
    system = next(kind for kind in SYSTEMS if kind.__name__ == options.one)(options.home)
    system.start()
    try:
        if options.only_recovery:
            system.submit_chunks("recover", [{"chunk_id": "c0", "text": f"slow 3 {chunk('recover', 0)['text']}"}])
            print(json.dumps(recovery(system)))
        else:
            numbers = Numbers()
            one_round(system, numbers, options)
            print(json.dumps(numbers.plain()))
    finally:
        system.stop()


def one_round(system: System, numbers: Numbers, options: argparse.Namespace) -> None:
    """Latency, then every size of tasks and of documents."""
    for number in range(LATENCIES):
        numbers.latencies.append(latency(system, f"latency-{number}"))
    for size in options.sizes:
        for kind, submit, query in (
            ("tasks", system.submit_tasks, system.count_chunks),
            ("documents", system.submit_documents, system.count_documents),
        ):
            before = system.count(query)
            with CpuMeter(system) as meter:
                begin = time.perf_counter()
                submitter = Thread(target=submit, args=(f"{kind}{size}", size), daemon=True)
                submitter.start()
                done = system.wait(query, before + size, options.cap) - before
                seconds = time.perf_counter() - begin
            system.enough.set()
            numbers.rates[kind, size].append(done / seconds)
            if kind == "tasks" and done:
                numbers.cpu.append(meter.seconds / done)
                numbers.memory.append(memory(system))
            submitter.join(60)
            system.enough.clear()
            if done < size:  # cut off: what still waits must not weigh on the next one
                system.drop_work()


def latency(system: System, tag: str) -> float:
    """Seconds from the submission of one task until its row is there."""
    before = system.count(system.count_chunks)
    begin = time.perf_counter()
    system.submit_tasks(tag, 1)
    while system.count(system.count_chunks) == before and time.perf_counter() - begin < 10:
        time.sleep(0.001)
    return time.perf_counter() - begin


def memory(system: System) -> float:
    """MB of all worker processes (PSS: what they share is counted once)."""
    total = 0
    for process in system.family():
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / 1e6


def recoveries(folder: Path, numbers: dict[str, Numbers]) -> None:
    """Side by side: they mostly wait."""
    with ThreadPoolExecutor(len(SYSTEMS)) as pool:
        jobs = {
            kind.name: pool.submit(in_a_process, kind, folder / f"recovery-{kind.__name__}", "--only-recovery")
            for kind in SYSTEMS
        }
        for name, job in jobs.items():
            numbers[name].recovery = job.result()


def recovery(system: System) -> float | None:
    """Seconds from a SIGKILL to workers in the middle of a chunk until it is done by new ones; None: not seen."""
    time.sleep(1.5)
    before = system.count(system.count_chunks)
    system.kill_worker()
    begin = time.perf_counter()
    system.start_worker()
    done = system.wait(system.count_chunks, before + 1, RECOVERY_CAP)
    return time.perf_counter() - begin if done > before else None


# -- writing


def rows(numbers: dict[str, Numbers]) -> list[dict[str, Any]]:
    """A line a system, at the largest size."""
    return [
        {
            "system": name,
            "throughput": round(_middle(of_one, "tasks"), 1),
            "documents": round(_middle(of_one, "documents"), 1),
            "latency_p50_ms": round(_quantile(of_one.latencies, 0.5) * 1000),
            "latency_p95_ms": round(_quantile(of_one.latencies, 0.95) * 1000),
            "memory_mb": round(median(of_one.memory)),
            "cpu_ms": round(median(of_one.cpu) * 1000, 1),
            "recovery_s": None if of_one.recovery is None else round(of_one.recovery),
        }
        for name, of_one in numbers.items()
    ]


def _middle(numbers: Numbers, kind: str) -> float:
    largest = max(size for of_kind, size in numbers.rates if of_kind == kind)
    return median(numbers.rates[kind, largest])


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def machine() -> dict[str, Any]:
    """Where it was measured."""
    packages = ("rq", "celery", "kombu", "redis", "smart-rag-tasks")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[2], 1),  # of the last 15 minutes, when it is written
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "versions": {name: version(name) for name in packages},
    }


def write(report: dict[str, Any], numbers: dict[str, Numbers], options: argparse.Namespace) -> None:
    """The tables, the data and the plots."""
    options.data.write_text(json.dumps(report, indent=1) + "\n")
    page = options.out / "celery-or-rq.md"
    text = page.read_text() if page.exists() else f"{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{markdown(report, numbers)}\n{END}{rest.partition(END)[2]}")
    plot(numbers, options.out)


def markdown(report: dict[str, Any], numbers: dict[str, Numbers]) -> str:
    """What `docs/celery-or-rq.md` includes."""
    there = report["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in there["versions"].items())
    lines = [
        f"Measured {there['date']} on {there['cores']} cores ({there['system']}, Python {there['python']}; load average"
        f" of the last 15 minutes {there['load']}, other work included), {versions}.",
        f"Medians of {_rounds(numbers)} interleaved rounds, min–max behind.",
        "",
        "| finished a second | " + " | ".join(numbers) + " |",
        "|---|" + "---:|" * len(numbers),
    ]
    for kind, size in next(iter(numbers.values())).rates:
        cells = [_cell(of_one.rates[kind, size]) for of_one in numbers.values()]
        lines.append(f"| {size:,} {kind} | " + " | ".join(cells) + " |")
    lines += ["", "| | " + " | ".join(numbers) + " |", "|---|" + "---:|" * len(numbers)]
    named = {
        "latency of one task, p50, ms": "latency_p50_ms",
        "latency of one task, p95, ms": "latency_p95_ms",
        "workers' memory, MB": "memory_mb",
        "workers' CPU for a task, ms": "cpu_ms",
        "recovery after SIGKILL, s": "recovery_s",
    }
    for title, key in named.items():
        cells = [_plain(row[key]) for row in report["rows"]]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _plain(value: float | None) -> str:
    if value is None:
        return f"> {RECOVERY_CAP:.0f}"
    return "–" if value < 0 else f"{value:g}"


def _rounds(numbers: dict[str, Numbers]) -> int:
    return max(len(values) for of_one in numbers.values() for values in of_one.rates.values())


def _cell(values: list[float]) -> str:
    return f"{median(values):.0f} ({min(values):.0f}–{max(values):.0f})" if median(values) >= 10 else (
        f"{median(values):.1f} ({min(values):.1f}–{max(values):.1f})"
    )  # fmt: skip


def plot(numbers: dict[str, Numbers], out: Path) -> None:
    """Throughput by size, and latency, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 4), dpi=120)
    for place, kind in enumerate(("tasks", "documents")):
        for name, of_one in numbers.items():
            sizes = sorted(size for of_kind, size in of_one.rates if of_kind == kind)
            middles = [median(of_one.rates[kind, size]) for size in sizes]
            errors = [
                [middle - min(of_one.rates[kind, size]) for middle, size in zip(middles, sizes, strict=True)],
                [max(of_one.rates[kind, size]) - middle for middle, size in zip(middles, sizes, strict=True)],
            ]
            axes[place].errorbar(sizes, middles, yerr=errors, marker="o", capsize=3, label=name)
        axes[place].set(
            title=f"{kind} finished a second", xlabel=f"{kind} submitted at once", xscale="log", ylim=(0, None)
        )
        axes[place].grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    latencies = [[value * 1000 for value in of_one.latencies] for of_one in numbers.values()]
    axes[2].boxplot(latencies, tick_labels=[name.replace(", ", "\n").replace("_", "_\n", 1) for name in numbers])
    axes[2].set(title="latency of one task, ms", ylim=(0, None))
    axes[2].tick_params(axis="x", labelsize=7)
    figure.tight_layout()
    (out / "images").mkdir(exist_ok=True)
    figure.savefig(out / "images" / "celery-or-rq.png")


if __name__ == "__main__":
    raise SystemExit(main())
