"""What our regular expressions match must not depend on the Python: Debian 12 has 3.11.2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from re import _constants, _parser  # type: ignore[attr-defined]  # the stubs leave them out
from typing import Any

import pytest

import smart_rag_tasks

PACKAGE = Path(smart_rag_tasks.__file__).parent
#: Those that have any.
MODULES = [
    path.relative_to(PACKAGE.parent).with_suffix("")
    for path in sorted(PACKAGE.rglob("*.py"))
    if "re.compile(" in path.read_text(encoding="utf-8")
]
#: What matches one character.
SINGLE = (_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY)


def repeated_groups(parsed: Any) -> Iterator[str]:
    """Each group that is repeated possessively, e.g. ``(?:ab?c)*+``."""
    for operation, argument in parsed:
        if operation is _constants.POSSESSIVE_REPEAT and (len(argument[2]) > 1 or argument[2][0][0] not in SINGLE):
            yield str(argument)
        for part in argument if isinstance(argument, (list, tuple)) else (argument,):
            for inner in part if isinstance(part, list) else (part,):
                if isinstance(inner, _parser.SubPattern):
                    yield from repeated_groups(inner)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_group_is_repeated_possessively(module: Path) -> None:
    """Before Python 3.11.5 such a group matches what it must not (cpython issue 106052)."""
    names = vars(import_module(".".join(module.parts)))
    patterns = [value for value in names.values() if isinstance(value, re.Pattern)]
    assert [list(repeated_groups(_parser.parse(each.pattern, each.flags))) for each in patterns] == [[]] * len(patterns)


@pytest.mark.parametrize(
    ("pattern", "count"), [("(?:ab?c)*+", 1), ("x(y|(?:ab)++)", 1), ("[ab]++a*+.?+", 0), ("(?>(?:ab?c)*)", 0)]
)
def test_a_group_that_is_repeated_possessively_is_found(pattern: str, count: int) -> None:
    assert len(list(repeated_groups(_parser.parse(pattern)))) == count
