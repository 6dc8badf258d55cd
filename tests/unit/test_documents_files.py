"""Which files are documents, and what they are called."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from document_samples import parse, write

from smart_rag_tasks.documents import SUPPORTED_SUFFIXES, document_id_for, find_files
from smart_rag_tasks.errors import InvalidInput


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.md", "a.txt", "sub/c.HTML", "sub/deep/茶.pdf", "x.png", ".hidden.md", ".git/d.md", "~$e.docx"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, "text")
    return tmp_path


def test_a_folder_is_searched_recursively_without_hidden_files(tree: Path) -> None:
    found = [file.relative_to(tree).as_posix() for file in find_files([tree])]
    assert found == ["a.txt", "b.md", "sub/c.HTML", "sub/deep/茶.pdf"]


def test_a_named_file_is_kept_whatever_its_suffix(tree: Path) -> None:
    assert find_files([tree / "x.png", tree / ".hidden.md"]) == [tree / ".hidden.md", tree / "x.png"]


def test_a_file_named_twice_comes_once(tree: Path) -> None:
    (tree / "link.md").symlink_to(tree / "b.md")
    found = find_files([tree / "a.txt", tree, tree / "sub" / ".." / "b.md", tree / "link.md"])
    assert len(found) == len({file.resolve() for file in found}) == 4


def test_a_loop_of_links_ends(tree: Path) -> None:
    (tree / "sub" / "again").symlink_to(tree, target_is_directory=True)
    assert len(find_files([tree])) == 4


@pytest.mark.parametrize("name", ["missing.md", "missing"])
def test_a_missing_path_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"{name}: no such file or folder; check the path$"):
        find_files([tmp_path / name])


def test_a_folder_without_documents_says_what_was_looked_for(tmp_path: Path) -> None:
    write(tmp_path / "x.png", "x")
    with pytest.raises(InvalidInput, match=r"no documents in this folder; looked for .*\.docx .*\.md"):
        find_files([tmp_path])


def test_the_others_are_found_all_the_same(tree: Path) -> None:
    (tree / "empty").mkdir()
    refused: list[tuple[str, str]] = []
    paths = [tree / "gone.md", tree / "empty", Path("x" * 300), tree / "a.txt"]
    found = find_files(paths, lambda path, error: refused.append((path.name[:7], str(error))))
    assert found == [tree / "a.txt"]
    assert [name for name, _ in refused] == ["gone.md", "empty", "xxxxxxx"]
    assert "no such file" in refused[0][1] and "no documents" in refused[1][1] and "File name too long" in refused[2][1]
    with pytest.raises(InvalidInput, match=r"gone\.md: no such file"):
        find_files(paths[:2], lambda path, error: None)


def test_a_folder_that_may_not_be_entered_does_not_stop_the_others(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.stat

    def stat(path: Path, **wishes: bool) -> os.stat_result:
        if path.name == "b.md":  # what a folder of mode 444 does, to everybody but root
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **wishes)

    monkeypatch.setattr(Path, "stat", stat)
    refused: list[str] = []
    found = find_files([tree], lambda path, error: refused.append(str(error)))
    assert len(found) == 3
    assert refused == [f"{tree}/b.md: cannot be read (Permission denied); check its name and permissions"]


def test_a_folder_that_cannot_be_read_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(folder: Path, onerror: Callable[[OSError], None]) -> Iterator[Any]:
        onerror(PermissionError(13, "Permission denied", str(folder)))
        return iter(())

    monkeypatch.setattr(os, "walk", walk)
    refused: list[str] = []
    with pytest.raises(InvalidInput, match=r"cannot be read \(Permission denied\)"):
        find_files([tmp_path], lambda path, error: refused.append(str(error)))
    assert refused == []


def test_what_is_named_like_a_document_and_is_no_file_is_told(tree: Path) -> None:
    (tree / "link.md").symlink_to(tree / "nowhere.md")
    os.mkfifo(tree / "pipe.md")
    (tree / "folder.md").mkdir()
    refused: list[str] = []
    assert len(find_files([tree], lambda path, error: refused.append(str(error)))) == 4
    assert sorted(refused) == [
        f"{tree}/link.md: cannot be read (No such file or directory); check its name and permissions",
        f"{tree}/pipe.md: cannot be read (not a file); check its name and permissions",
    ]


def test_an_address_is_no_file() -> None:
    with pytest.raises(InvalidInput, match=r"^http://example\.org/a\.md: is an address, not a file; download it"):
        find_files([Path("http://example.org/a.md")])


def test_suffixes_of_every_format_are_supported() -> None:
    assert {".txt", ".md", ".html", ".pdf", ".docx", ".pptx", ".epub"} <= set(SUPPORTED_SUFFIXES)


# -- ids


def test_an_id_does_not_depend_on_the_current_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = document_id_for(tree / "b.md")
    monkeypatch.chdir(tree / "sub")
    assert document_id_for(Path("../b.md")) == absolute
    monkeypatch.chdir(tree)
    assert document_id_for(Path("b.md")) == absolute


def test_the_same_name_in_two_folders_gives_two_ids(tmp_path: Path) -> None:
    assert document_id_for(tmp_path / "a" / "readme.md") != document_id_for(tmp_path / "b" / "readme.md")


def test_many_files_of_one_name_have_ids_of_their_own() -> None:
    pages = ["site-0034/page-350", "site-0061/page-258"]  # the same for four bytes of their hash
    first, second = (document_id_for(Path("/srv/mirror", page, "index.html")) for page in pages)
    assert first != second


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("运河与船闸.txt", "运河与船闸.txt-"),
        ("My report (final).docx", "My-report-final-.docx-"),
        ("a:b?c*.md", "a-b-c-.md-"),
        ("(((.md", "md-"),
    ],
)
def test_an_id_is_readable_and_fits_a_url_or_a_file_name(tmp_path: Path, name: str, readable: str) -> None:
    document_id = document_id_for(tmp_path / name)
    assert document_id.startswith(readable)
    assert not set(document_id) & set("/\\ ?#:*\n")


def test_names_that_look_the_same_are_the_same(tmp_path: Path) -> None:
    assert document_id_for(tmp_path / "cafe\u0301.md") == document_id_for(tmp_path / "caf\u00e9.md")


def test_a_long_name_is_cut_but_its_id_is_its_own(tmp_path: Path) -> None:
    ids = {document_id_for(tmp_path / f"{start}{'x' * 200}.md") for start in "ab"}
    assert len(ids) == 2
    assert all(len(document_id) <= 80 for document_id in ids)


def test_ids_below_a_root_stay_when_the_root_moves(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    assert document_id_for(here / "sub" / "a.md", here) == document_id_for(there / "sub" / "a.md", there)
    assert document_id_for(here / "sub" / "a.md", here).startswith("sub-a.md-")


def test_a_name_that_is_not_utf8_has_an_id_and_a_source_that_a_store_can_keep(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xd6\xd0.txt"))
    document = parse(write(path, "Some text."))
    assert document.source == f"{tmp_path.as_uri()}/%D6%D0.txt"
    document.document_id.encode("utf-8")


def test_importing_the_module_loads_neither_kreuzberg_nor_the_splitter_nor_celery() -> None:
    code = "import sys, smart_rag_tasks.documents; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"kreuzberg", "pypdfium2", "semantic_text_splitter", "celery", "html.parser"} & set(loaded)
