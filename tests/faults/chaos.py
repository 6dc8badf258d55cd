"""Random faults from a seed, for minutes, over many documents; then an audit of store, broker, ledger and processes.

``python tests/faults/chaos.py --minutes 30 --seed 1``. The seed decides the documents, their texts and poisons, the
faults, their order and the pauses between them; what a fault hits at its moment is the machine's. Prints one line a
fault and, at the end, the audit's counts; exit code 1 if anything is lost, doubled, wrong or left over.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "faults"), str(TESTS / "integration")]


def main() -> int:
    """Run it."""
    from audit import audit, processes_left
    from chaos_field import Field

    options = _options()
    home = options.home or Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"chaos: seed {options.seed}, {options.minutes:g} minutes, in {home}", flush=True)
    started = time.monotonic()
    with Field(home, options.seed) as field:
        _strike(field, options.seed, options.minutes * 60)
        field.calm()
        found = audit(field)
    found.processes_left = processes_left(home)
    found.minutes = round((time.monotonic() - started) / 60, 1)
    print(json.dumps(asdict(found), indent=1, ensure_ascii=False))
    sound = found.is_sound()
    print("chaos: sound" if sound else "chaos: NOT SOUND", f"(seed {options.seed})")
    if sound and not options.home:
        shutil.rmtree(home, ignore_errors=True)
    return 0 if sound else 1


def _strike(field: Field, seed: int, seconds: float) -> None:  # type: ignore[name-defined]  # noqa: F821 - of main()
    """Faults, one after the other, until the time is over."""
    from chaos_field import FAULTS

    dice = random.Random(f"faults {seed}")
    names, weights = list(FAULTS), [weight for _, weight in FAULTS.values()]
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        pause, name = dice.uniform(3, 15), dice.choices(names, weights)[0]
        mine = random.Random(dice.random())  # a fault's own dice: how often it throws must not matter to the next
        time.sleep(pause)
        note = FAULTS[name][0](field, mine)
        field.faults[name] += 1
        print(f"{time.monotonic() - begin:7.1f} s  {name:16} {note or ''}  {field.counts()}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--home", type=Path, help="keep everything here; a temporary folder if not given")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
