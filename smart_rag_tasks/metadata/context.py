"""What is indexed with a chunk's text: the context line before it, the search field beside it."""

from __future__ import annotations

from collections.abc import Sequence

#: Characters; about sixty English words would be 350, but a line this long already outweighs a short chunk.
MAX_CONTEXT = 200
_SEPARATOR = " > "
#: Characters that are left for the title where the last heading is long.
_MIN_TITLE = 20
#: Topics that the search field says twice, so that they weigh more, as they do in the document itself.
_TWICE = 10


def compose_context(title: str, section_path: Sequence[str], gist: str) -> str:
    """``title > heading > heading: gist``, repeated parts left out, at most 200 characters.

    Where that is too long the last heading stays as it is and the title is shortened.
    """
    parts = _distinct([title, *section_path])
    gist = " ".join(gist.split())
    if not gist or gist.casefold() in _SEPARATOR.join(parts).casefold():
        return _head(parts, MAX_CONTEXT)
    if not parts:
        return shorten(gist, MAX_CONTEXT)
    return shorten(f"{_head(parts, MAX_CONTEXT // 2)}: {gist}", MAX_CONTEXT)


def search_field(context: str, topics: Sequence[str]) -> str:
    """What a second field holds that counts 0.4 times: the context, then the document's topics, the first ones twice.

    The most important comes first, so that it can be cut; ``benchmarks/quality.py retrieval`` measures 60 words of it.
    """
    return " ".join(part for part in (context, *topics[:_TWICE], *topics) if part)


def _head(parts: Sequence[str], limit: int) -> str:
    """The parts in a line of at most ``limit`` characters; of headings that have no room the inner ones stay."""
    whole = _SEPARATOR.join(parts)
    if len(whole) <= limit or len(parts) == 1:
        return shorten(whole, limit)
    room = limit - _MIN_TITLE - len(_SEPARATOR)
    kept = shorten(parts[-1], room)
    for heading in reversed(parts[1:-1]):
        if len(longer := f"{heading}{_SEPARATOR}{kept}") > room:
            break
        kept = longer
    return f"{shorten(parts[0], limit - len(_SEPARATOR) - len(kept))}{_SEPARATOR}{kept}"


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
