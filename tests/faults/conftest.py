"""The fault tests borrow the malformed messages of the integration tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "integration"))
