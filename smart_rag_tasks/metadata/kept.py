"""Answers about words that are kept: half a lookup in ``functools.lru_cache``, which a text makes at every word."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: Some 5 MB of words, and twice that at the most; nearly all words of a text are among them.
SIZE: Final = 16384


class Kept(dict[K, V], Generic[K, V]):
    """``kept[word]`` is ``answer(word)``; of the last ``size`` to twice as many words it is known."""

    def __init__(self, answer: Callable[[K], V], size: int = SIZE) -> None:
        super().__init__()
        self._answer = answer
        self._size = size
        #: What was known when there were too many: those asked for again come back, the others are forgotten.
        self._before: dict[K, V] = {}

    def __missing__(self, word: K) -> V:
        if len(self) >= self._size:
            self._before = dict(self)
            self.clear()
        answer = self[word] = self._before[word] if word in self._before else self._answer(word)
        return answer
