"""What the documents show is true: links lead somewhere, commands exist, code runs, outputs are real."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from prose import ROOT, Block, anchors, blocks, commands, documents, links, name_of, typed, words_of
from stack import Stack

from smart_rag_tasks.cli import rag
from smart_rag_tasks.models import Json
from smart_rag_tasks.settings import RENAMED, Settings

README = ROOT / "README.md"

each_document = pytest.mark.parametrize("path", documents(), ids=name_of)

#: Documents whose Python blocks are run, in order, as one program a document.
RUN = ["README.md", "README.zh-CN.md", "docs/howto/application.md", "docs/howto/sinks.md"]

#: Commands of ours that end by themselves and change nothing outside the store: run as they are shown.
SAFE = {"run", "submit", "status", "list", "show", "export", "retry", "regenerate", "doctor", "dead-letters"}

#: The program that belongs to this Python.
OURS = (sys.executable, "-c", "from smart_rag_tasks.cli import main; main()")

#: Variables that we set or hand on, but do not read.
NOT_OURS = {"CELERY_CONFIG_MODULE", "SMART_RAG_TAG", "SMART_RAG_DOCUMENTS"}
NOT_OURS |= {"FLOWER_CONF", "FLOWER_CERTFILE", "FLOWER_KEYFILE"}


@each_document
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in links(path.read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        place = path if not file else (path.parent / file).resolve()
        assert place.exists(), f"{name_of(path)}: {target}"
        if anchor:
            assert anchor in anchors(place.read_text(encoding="utf-8")), f"{name_of(path)}: {target}"


@each_document
def test_every_command_that_is_shown_exists(path: Path) -> None:
    for words in commands(path.read_text(encoding="utf-8")):
        wrong = CHECKS[words[0]](words[1:])
        assert wrong is None, f"{name_of(path)}: {' '.join(words)}: {wrong}"


def make_problem(words: list[str]) -> str | None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    wanted = [word for word in words if "=" not in word and not word.startswith("-")]
    unknown = [word for word in wanted if word not in targets]
    return f"no target {unknown}" if unknown else None


def ours_problem(words: list[str], command: click.Command = rag) -> str | None:
    """Follow the words down the groups, then look for the options."""
    context = click.Context(command)
    words = list(words)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        found = command.get_command(context, name)
        if found is None:
            return f"no command {name!r} in {command.name}"
        command, context = found, click.Context(found, parent=context)
    known = {option for parameter in command.get_params(context) for option in parameter.opts}
    known |= {option for parameter in command.get_params(context) for option in parameter.secondary_opts}
    given = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    unknown = [option for option in given if option not in known | {"--help", "-h", "--version"}]
    return f"no option {unknown}" if unknown else None


def celery_problem(words: list[str]) -> str | None:
    from celery.bin.celery import celery

    if words[:2] != ["-A", "smart_rag_tasks"]:
        return "say -A smart_rag_tasks"
    if words[2:3] == ["rag"]:
        return ours_problem(words[3:])
    if words[2:3] == ["flower"]:  # Flower takes its options in a way of its own
        return None
    return ours_problem(words[2:], celery)


CHECKS: dict[str, Callable[[list[str]], str | None]] = {
    "make": make_problem,
    "smart-rag-tasks": ours_problem,
    "celery": celery_problem,
}


@pytest.mark.parametrize(
    "words",
    [
        ["make", "tests"],
        ["smart-rag-tasks", "runn", "x"],
        ["smart-rag-tasks", "run", "--sttore", "x"],
        ["smart-rag-tasks", "monitor", "helth"],
        ["celery", "-A", "smart_rag_tasks", "wroker"],
        ["celery", "-A", "smart_rag_tasks", "rag", "runn"],
        ["celery", "-A", "smart_rag_tasks", "worker", "--queuees", "x"],
    ],
    ids=" ".join,
)
def test_a_command_that_does_not_exist_is_found(words: list[str]) -> None:
    assert CHECKS[words[0]](words[1:]) is not None


@each_document
def test_every_variable_that_is_shown_is_read(path: Path) -> None:
    named = set(re.findall(r"\b(?:SMART_RAG|WORKER|FLOWER|CELERY)_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8")))
    known = {str(field.alias) for field in Settings.model_fields.values()} | set(RENAMED) | NOT_OURS
    unknown = named - known - twins()
    assert not unknown, f"{name_of(path)}: {unknown}"


def twins(command: click.Command = rag) -> set[str]:
    """The environment twins of all options."""
    context = click.Context(command)
    found = {str(option.envvar) for option in command.get_params(context) if option.envvar}
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None, name
            found |= twins(child)
    return found


@each_document
def test_every_python_block_is_python(path: Path) -> None:
    for block in blocks(path.read_text(encoding="utf-8"), "python"):
        ast.parse(block.text, f"{name_of(path)}:{block.line}")
        assert max(map(len, block.text.splitlines())) <= 120, f"{name_of(path)}:{block.line}"


# -- what is shown is run


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The product with its default settings, in a folder that has the sample documents, like a checkout."""
    home = tmp_path_factory.mktemp("readme")
    (home / "examples").symlink_to(ROOT / "examples")
    with Stack(home, PYTHONPATH=str(home)) as stack:
        stack.start_worker()
        yield stack


@pytest.fixture(scope="module")
def demo(desk: Stack) -> list[Json]:
    """What ``make demo`` does, as records."""
    records: list[Json] = json.loads(run(desk, *OURS, "run", "examples/documents", "--json"))
    return records


def run(desk: Stack, *words: str, codes: tuple[int, ...] = (0,)) -> str:
    """A program's output, run in the desk's folder."""
    env = os.environ | desk.env
    done = subprocess.run(words, cwd=desk.home, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode in codes, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", RUN)
def test_the_python_that_is_shown_runs(desk: Stack, name: str) -> None:
    """One program a document; a block that begins with ``# some/file.py`` is that file.

    A text block right below a Python block is what that one prints.
    """
    program: list[str] = []
    printed: list[str] = []
    for block in blocks((ROOT / name).read_text(encoding="utf-8"), "python", "text"):
        if block.language == "text":
            printed += [block.text] if block.below == "python" else []
        elif not saved(desk, block):
            program.append(block.text)
    assert program, f"{name} shows no Python any more: take it out of RUN"
    output = run(desk, sys.executable, "-c", "\n".join(program))
    for words in printed:
        assert words in output


def saved(desk: Stack, block: Block) -> bool:
    """Write a block that names its file; False if it names none."""
    named = re.match(r"# ([\w/]+\.py)\n", block.text)
    if named is None:
        return False
    place = desk.home / named[1]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(block.text, encoding="utf-8")
    return True


@pytest.mark.usefixtures("demo")
def test_the_commands_that_are_shown_run(desk: Stack) -> None:
    """Those that end by themselves, once each, in a folder with the sample documents and the files that are shown."""
    shown: dict[tuple[str, ...], None] = {}
    for name in ("README.md", "README.zh-CN.md", "docs/quickstart.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for block in blocks(text, "python"):
            saved(desk, block)
        shown |= {tuple(words_of(line)): None for block in blocks(text, "console") for line in typed(block)}
    assert ("smart-rag-tasks", "list") in shown
    for program, *words in filter(None, shown):
        if program == "python":
            run(desk, sys.executable, *words)
            run(desk, *OURS, "cancel", Path(words[0]).stem)  # nobody waits for it here
        elif program == "smart-rag-tasks" and words[0] in SAFE and "--watch" not in words:
            run(desk, *OURS, *words, codes=(0, 1) if words[0] == "doctor" else (0,))  # no beat runs here


def test_the_demo_prints_what_the_readme_shows(demo: list[Json]) -> None:
    """The table of ``make demo``: every row, as far as 80 columns let it stand there; times differ."""
    (block,) = [block for block in blocks(README.read_text(encoding="utf-8"), "console") if "make demo" in block.text]
    assert ["make demo", "make test"] == typed(block)
    lines = block.text.splitlines()
    head = next(line for line in lines if line.startswith("Document"))
    begin = lines.index(head) + 1
    rows = lines[begin : lines.index("", begin)]

    assert len(rows) == len(demo)
    for row, record in zip(rows, demo, strict=True):
        cells = (record["title"], str(record["total"]), record["language"], ", ".join(record["keywords"]))
        assert fits(row, record["document_id"], (*cells, record["status"])), row
    total = sum(record["total"] for record in demo)
    assert any(line.startswith(f"{len(demo)} documents, {total} chunks in ") for line in lines)


def fits(row: str, document_id: str, cells: tuple[str, ...]) -> bool:
    """Whether the row shows this, each cell whole or cut off with ``…``; an id's digits are a checkout's own."""
    shown, _, row = row.partition(" ")
    name = document_id.rpartition("-")[0] + "-"
    stem = shown.removesuffix("…")
    if not (name.startswith(stem) or re.fullmatch(re.escape(name) + "[0-9a-f]{1,16}", stem)):
        return False
    for cell in cells:
        row = row.lstrip()
        if row.startswith(cell):
            row = row[len(cell) :]
            continue
        part, dots, row = row.partition("…")
        if not dots or not cell.startswith(part.rstrip()):
            return False
    return True


def test_a_row_that_is_not_so_is_found() -> None:
    row = "bridges.md-6…  How Bridg…       6  en    bridge, be…  completed  6.3 s"
    cells = ("How Bridges Stand", "6", "en", "bridge, beam", "completed")
    assert fits(row, "bridges.md-5141c8bcb887cd19", cells)
    for right, wrong in (("dges", "gdes"), ("How B", "Why B"), (" 6 ", " 7 "), (" en ", " zh "), ("be…", "ba…")):
        assert not fits(row.replace(right, wrong), "bridges.md-5141c8bcb887cd19", cells), wrong
