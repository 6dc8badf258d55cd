"""The documents for people, as tests read them: fenced blocks, commands, links, headings."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)\s*$")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)|!\[[^\]]*\]\((?P<image>[^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)

#: What a command line of ours begins with.
PROGRAMS = ("smart-rag-tasks", "make", "celery")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    #: ``python``, ``console``, ``text`` …, "" when the fence does not say.
    language: str
    text: str
    #: Of its first line, counted from 1.
    line: int
    #: The language of the block right above, with nothing but empty lines between; "" if there is none.
    below: str


def documents() -> list[Path]:
    """Every document of the repository that people read."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def name_of(path: Path) -> str:
    """A document's path from the root."""
    return str(path.relative_to(ROOT))


def blocks(text: str, *languages: str) -> list[Block]:
    """The fenced blocks of a document, in order; of these languages, if any are given."""
    found: list[Block] = []
    opened: tuple[str, str, int] | None = None
    lines: list[str] = []
    above = ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if fence is None:
            lines.append(line)
            above = above if opened or not line.strip() else ""
        elif opened is None:
            opened, lines = (fence["indent"], fence["language"], number + 1), []
        else:
            indent, language, begin = opened
            body = "\n".join(part.removeprefix(indent) for part in lines) + "\n"
            found.append(Block(language, body, begin, above))
            opened, lines, above = None, [], language
    assert opened is None, f"the block that begins in line {opened} is not closed"
    return [block for block in found if not languages or block.language in languages]


def without_blocks(text: str) -> str:
    """The prose: everything that is in no fence."""
    kept, inside = [], False
    for line in text.splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def typed(block: Block) -> list[str]:
    """The commands of a console block: what follows ``$ ``, joined over lines that end with a backslash."""
    commands: list[str] = []
    going_on = False
    for line in block.text.splitlines():
        if going_on or line.startswith("$ "):
            part = line.strip() if going_on else line[2:]
            going_on_before, going_on = going_on, part.endswith("\\")
            part = part.removesuffix("\\").strip()
            if going_on_before:
                commands[-1] += " " + part
            else:
                commands.append(part)
    return commands


def words_of(command: str) -> list[str]:
    """A command line as words: comment, redirections, leading assignments and ``env`` taken away."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    words = list(lexer)
    end = next((index for index, word in enumerate(words) if set(word) <= set("|;&<>")), len(words))
    words = words[:end]
    while words and (words[0] in ("env", "exec", "sudo") or re.match(r"[A-Z_]+=", words[0])):
        words.pop(0)
    return words


def commands(text: str) -> Iterator[list[str]]:
    """Every command of ours that a document shows, in a block or in a line, as words."""
    shown = [command for block in blocks(text, "console") for command in typed(block)]
    shown += [line for block in blocks(text, "bash", "sh") for line in block.text.splitlines()]
    shown += [span for span in _SPAN.findall(without_blocks(text)) if "…" not in span]
    for command in shown:
        if not any(program in command for program in PROGRAMS):
            continue
        words = words_of(command)
        if words and words[0] in PROGRAMS:
            yield words


def links(text: str) -> list[str]:
    """The targets of links and images that lie in this repository."""
    found = [match["target"] or match["image"] for match in _LINK.finditer(without_blocks(text))]
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(text: str) -> set[str]:
    """The anchors that a document's headings have."""
    return {_anchor(heading) for heading in _HEADING.findall(without_blocks(text))}


def _anchor(heading: str) -> str:
    kept = "".join(char for char in heading.lower() if unicodedata.category(char)[0] in "LN" or char in " -_")
    return kept.strip().replace(" ", "-")


def table(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head; backticks are taken off."""
    body = text.partition(f"\n{heading}\n")[2]
    rows: list[list[str]] = []
    for line in body.splitlines():
        if line.startswith("|"):
            rows.append([cell.strip().strip("`") for cell in line.strip().strip("|").split("|")])
        elif rows or line.startswith("#"):
            break
    return rows[2:]
