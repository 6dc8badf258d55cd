"""Measure the table of faults with the product's default settings: ``python benchmarks/faults.py``.

Each row is struck ``--rounds`` times, each time with an embedded Redis, a store, real workers and processes of its
own: 100 chunks of 200 ms on 2 processes, the fault when about 7 s of work are left. Prints the median seconds until
the store says finished, the spread, doubles (chunks generated after their metadata was written, or written twice) and
repeats (chunks generated again that a dying process had not written), from a ledger outside store and Redis.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "faults"), str(TESTS / "integration")]


def main() -> int:
    """Run it; 1 if a row was not met."""
    from table import TABLE

    options = _options([row.name for row in TABLE])
    if options.strike:
        print(json.dumps(strike(options.strike, options.home)))
        return 0
    rows = [row for row in TABLE if not options.rows or row.name in options.rows]
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, ThreadPoolExecutor(options.jobs) as jobs:
        runs: dict[str, list[Future[dict[str, Any]]]] = {row.name: [] for row in rows}
        for number in range(options.rounds):  # round by round: a slow minute of the machine hits no row three times
            for row in rows:
                home = Path(folder) / f"{row.name}-{number}"
                runs[row.name].append(jobs.submit(_in_a_process, row.name, home))
        results = [summary(row.name, row.fault, row.must, [run.result() for run in runs[row.name]]) for row in rows]
    load = f"load of this machine (1, 5, 15 minutes): {', '.join(f'{each:.1f}' for each in os.getloadavg())}"
    if options.json:
        print(json.dumps(results, ensure_ascii=False, indent=1))
    else:
        print_table(results)
    print(f"{os.cpu_count()} cores; {load}", file=sys.stderr)
    return 0 if all(result["met"] for result in results) else 1


def _options(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", choices=[*names, []], help="; ".join(names))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="rows struck side by side; more than 1 adds noise")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--strike", metavar="ROW", help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def strike(name: str, home: Path) -> dict[str, Any]:
    """One row, once, in this process."""
    from ground import DEFAULT
    from table import TABLE, ground_of

    row = next(row for row in TABLE if row.name == name)
    home.mkdir(parents=True, exist_ok=True)
    with ground_of(row, home, DEFAULT) as ground:
        return asdict(row.strike(ground))


def _in_a_process(name: str, home: Path) -> dict[str, Any]:
    """One row, once; ``error`` says why it was not met."""
    started = time.monotonic()
    command = [sys.executable, __file__, "--strike", name, "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        outcome: dict[str, Any] = {"error": lines[-1] if lines else f"exit code {done.returncode}"}
    else:
        outcome = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{name}: {outcome} ({time.monotonic() - started:.0f} s in all)", file=sys.stderr, flush=True)
    return outcome


def summary(name: str, fault: str, must: str, outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """Median and spread of a row's rounds."""
    good = [outcome for outcome in outcomes if "error" not in outcome]
    in_time = all(outcome["limit"] is None or outcome["seconds"] <= outcome["limit"] for outcome in good)
    seconds = sorted(outcome["seconds"] for outcome in good)
    return {
        "name": name,
        "fault": fault,
        "must": must,
        "met": len(good) == len(outcomes) and in_time,
        "seconds": median(seconds) if seconds else None,
        "spread": [seconds[0], seconds[-1]] if seconds else None,
        "doubles": sum(outcome["doubles"] for outcome in good),
        "repeats": median(outcome["repeats"] for outcome in good) if good else None,
        "lost": sum(outcome["lost"] for outcome in good),
        "end": sorted({outcome["status"] for outcome in good}),
        "note": good[0]["note"] if good else "",
        "errors": [outcome["error"] for outcome in outcomes if "error" in outcome],
    }


def print_table(results: list[dict[str, Any]]) -> None:
    """The table as Markdown."""
    print("| fault | must show | seconds (least, most) | doubles | repeats | lost | end |")
    print("|---|---|--:|--:|--:|--:|---|")
    for row in results:
        least, most = row["spread"] or (0.0, 0.0)
        spread = f"{row['seconds']:.1f} ({least:.1f}, {most:.1f})" if row["spread"] else ""
        end = ", ".join(row["end"]) if row["met"] else f"NOT MET {row['errors'][:1]}"
        note = f"; {row['note']}" if row["note"] else ""
        repeats = "" if row["repeats"] is None else f"{row['repeats']:g}"
        cells = [row["fault"], row["must"], spread, row["doubles"], repeats, row["lost"], end + note]
        print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    sys.exit(main())
