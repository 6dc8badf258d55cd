"""Each row of the table of faults, with shorter leases and outages than `benchmarks/faults.py` has."""

from __future__ import annotations

from pathlib import Path

import pytest
from ground import QUICK
from table import TABLE, Row, ground_of


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in TABLE])
def test_fault(row: Row, tmp_path: Path) -> None:
    with ground_of(row, tmp_path, QUICK) as ground:
        outcome = row.strike(ground)
    assert 0 == outcome.doubles
    assert 0 == outcome.lost
