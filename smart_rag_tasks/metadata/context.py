"""The context line: what stands before a chunk's text, or in a second field, when it is indexed."""

from __future__ import annotations

from collections.abc import Sequence

#: Characters; about sixty English words would be 350, but a line this long already outweighs a short chunk.
MAX_CONTEXT = 200
_SEPARATOR = " > "


def compose_context(title: str, section_path: Sequence[str], gist: str) -> str:
    """``title > heading > heading: gist``, repeated parts left out, at most 200 characters."""
    head = _SEPARATOR.join(_distinct([title, *section_path]))
    gist = " ".join(gist.split())
    if not gist or gist.casefold() in head.casefold():
        return shorten(head, MAX_CONTEXT)
    if not head:
        return shorten(gist, MAX_CONTEXT)
    head = shorten(head, MAX_CONTEXT // 2)
    return shorten(f"{head}: {gist}", MAX_CONTEXT)


def _distinct(parts: Sequence[str]) -> list[str]:
    """The parts without empty ones and without those that an earlier part already says."""
    kept: list[str] = []
    for part in (" ".join(part.split()) for part in parts):
        folded = part.casefold()
        if folded and all(folded != other.casefold() for other in kept):
            kept.append(part)
    return kept


def shorten(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` characters, cut between words where there are spaces, with an ellipsis."""
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    head, space, _ = cut.rpartition(" ")
    if space and len(head) >= limit // 2:
        cut = head
    return cut.rstrip(" ,;:>-—，、；：") + "…"
