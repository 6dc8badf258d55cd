"""Answers about words that are kept: half a lookup in ``functools.lru_cache``, which a text makes at every word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

V = TypeVar("V")

#: Some 2 MB of words; most words of a text are among them.
SIZE: Final = 8192


class Kept(dict[str, V], Generic[V]):
    """``kept[word]`` is ``answer(word)``; when there are too many, all are forgotten."""

    def __init__(self, answer: Callable[[str], V], size: int = SIZE) -> None:
        super().__init__()
        self._answer = answer
        self._size = size

    def __missing__(self, word: str) -> V:
        if len(self) >= self._size:
            self.clear()
        answer = self[word] = self._answer(word)
        return answer
