"""Bound parameters of statements that are built once for the columns that they set, whatever the values."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam

from ..models import Json


def named(values: Json) -> Json:
    """Values as parameters of a statement made for their names."""
    return {f"v_{name}": value for name, value in values.items()}


def setting(names: tuple[str, ...]) -> dict[str, Any]:
    """What such a statement sets."""
    return {name: bindparam(f"v_{name}") for name in names}
