"""Writes what follows from the code: docs/reference/settings.md and .env.example from settings.py (and compose's file),
and docs/reference/cli.md from the commands.

python docs/generate.py            # write
python docs/generate.py --check    # exit code 1 if a file is not what the code says
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from cli_page import page as cli_page
from pydantic import SecretStr

from smart_rag_tasks.settings import RENAMED, Settings, limits

ROOT = Path(__file__).parent.parent
_SECTION = re.compile(r"^    # -- (.+)$")
_COMMENT = re.compile(r"^    #: (.+)$")
_FIELD = re.compile(r"^    (\w+): .*")


def settings() -> list[tuple[str, list[tuple[str, str, Any]]]]:
    """Sections of (variable, meaning, default), in the order of settings.py."""
    sections: list[tuple[str, list[tuple[str, str, Any]]]] = []
    words: list[str] = []
    for line in (ROOT / "smart_rag_tasks/settings.py").read_text(encoding="utf-8").splitlines():
        if found := _SECTION.match(line):
            sections.append((found[1], []))
        elif found := _COMMENT.match(line):
            words.append(found[1])
        elif (found := _FIELD.match(line)) and found[1] in Settings.model_fields:
            field = Settings.model_fields[found[1]]
            sections[-1][1].append((str(field.alias), " ".join(words), field))
            words = []
    return sections


def default_of(field: Any) -> str:
    """A default as it would stand in the environment."""
    if field.default_factory is not None:
        return "" if field.default_factory is dict else "(one a core)"
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value == ():
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def reference() -> str:
    """docs/reference/settings.md."""
    lines = [
        "# Settings",
        "",
        "Read from the environment, and from a `.env` file in the current folder. A wrong value stops the program at",
        "start, with the variable's name and what is allowed. A name that is nearly one of these is told by `run`, by",
        "every worker that starts, and by `doctor`. Made by `python docs/generate.py`.",
    ]
    for title, fields in settings():
        lines += [
            "",
            f"## {title[0].upper()}{title[1:]}",
            "",
            "| variable | default | allowed | meaning |",
            "|---|---|---|---|",
        ]
        for name, meaning, field in fields:
            shown = default_of(field)
            cell = f"`{shown}`" if shown and shown[0] != "(" else shown
            lines.append(f"| `{name}` | {cell} | {limits(field)} | {meaning} |")
    lines += ["", "## Refused", "", "Names of the requirements document that are not read any more:", ""]
    lines += [f"- `{name}`: {instead}" for name, instead in RENAMED.items()]
    return "\n".join(lines) + "\n"


def example() -> str:
    """.env.example."""
    lines = ["# Copy to .env and take the # away where you want another value than the default."]
    for title, fields in settings():
        lines += ["", f"# -- {title}"]
        for name, meaning, field in fields:
            if meaning:
                lines.append(f"# {meaning}")
            value = default_of(field)
            lines.append(f"#{name}={'' if value.startswith('(') else value}")
    return "\n".join(lines + compose()) + "\n"


def compose() -> list[str]:
    """What docker-compose.yml asks for beyond the settings: secrets first."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    found = {name: (kind, value) for name, kind, value in re.findall(r"\$\{(\w+):([?-])(.*?)\}", text)}
    known = {name for _, fields in settings() for name, _, _ in fields}
    secrets = [name for name, (kind, _) in found.items() if kind == "?"]
    return [
        "",
        "# -- docker-compose.yml: without these it does not start. Letters and digits, for they stand in URLs:",
        "# python3 -c 'import secrets; print(secrets.token_hex(24))'   (FLOWER_BASIC_AUTH: a name, a colon, then that)",
        *(f"#{name}=" for name in secrets),
        "# Ports are on 127.0.0.1.",
        *(f"#{name}={value}" for name, (kind, value) in found.items() if kind == "-" and name not in known),
    ]


def main() -> None:
    """Command line."""
    files = {
        ROOT / "docs/reference/settings.md": reference(),
        ROOT / ".env.example": example(),
        ROOT / "docs/reference/cli.md": cli_page(),
    }
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        sys.exit(f"run python docs/generate.py: {[path.name for path in stale]}" if stale else 0)
    for path in stale:
        path.write_text(files[path], encoding="utf-8")


if __name__ == "__main__":
    main()
