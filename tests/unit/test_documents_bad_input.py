"""Bad files: each gets one line that names it and says what to do, or a sensible result; nothing else suffers."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from document_samples import (
    PROTECTED_PDF,
    archive,
    docx,
    epub,
    paragraph,
    parse,
    pdf,
    picture,
    pptx,
    shape,
    with_package,
    word_picture,
    write,
)

from smart_rag_tasks import errors
from smart_rag_tasks.documents import isolation
from smart_rag_tasks.errors import (
    DocumentError,
    DocumentTooLarge,
    EmptyDocument,
    InvalidInput,
    ProtectedDocument,
    UnreadableDocument,
)

GOOD_PDF = pdf([["Some text."]])


def refused(path: Path, error: type[InvalidInput], told: str, **limits: int) -> str:
    """Asserts that the file is refused with one line that names it and holds ``told``; gives the line."""
    with pytest.raises(error) as caught:
        parse(path, **limits)
    line = str(caught.value)
    assert type(caught.value) is error
    assert line.startswith(f"{path}: ")
    assert told in line
    assert "\n" not in line
    assert len(line) < 150 + len(str(path))
    return line


# -- files


def test_a_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "missing.md", InvalidInput, "no such file; check the path")


def test_a_folder(tmp_path: Path) -> None:
    refused(tmp_path, InvalidInput, "not a file")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    refused(tmp_path / "pipe.txt", InvalidInput, "not a file")


@pytest.mark.parametrize("suffix", ["txt", "md", "html", "pdf", "docx", "pptx", "epub"])
def test_an_empty_file(tmp_path: Path, suffix: str) -> None:
    refused(write(tmp_path / f"a.{suffix}", b""), EmptyDocument, "the file is empty")


@pytest.mark.parametrize("content", [" \n\t\n", "\ufeff", "\ufeff\u200b \u3000", "---\ntitle: x\n---\n"])
def test_a_file_with_nothing_to_see(tmp_path: Path, content: str) -> None:
    refused(write(tmp_path / "a.md", content), EmptyDocument, "holds no text")


def test_a_file_that_cannot_be_read() -> None:
    # Reading a process's memory from address 0 fails for root, too.
    refused(Path("/proc/self/mem"), UnreadableDocument, "cannot be read (Input/output error); check its name and")


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    refused(tmp_path / ("x" * 300 + ".md"), UnreadableDocument, "cannot be read (File name too long)")


def test_a_name_with_a_newline_is_shown_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(EmptyDocument) as caught:
        parse(write(tmp_path / "two\nlines.md", ""))
    assert "two\ufffdlines.md" in str(caught.value)
    assert "\n" not in str(caught.value)


# -- size


def test_200_mb_of_text_are_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "big.txt"
    with path.open("wb") as stream:
        stream.truncate(200 * 1024 * 1024)
    start = time.perf_counter()
    refused(path, DocumentTooLarge, "200.0 MB is over the limit of 100.0 MB; split it", max_bytes=100 * 1024 * 1024)
    assert time.perf_counter() - start < 0.5


def seconds_for_a_line(path: Path, text: str, megabytes: int) -> float:
    write(path, text * (megabytes * 1_000_000 // len(text.encode())))
    start = time.process_time()
    document = parse(path, max_bytes=100_000_000, max_chunks=100_000)
    assert max(len(chunk.text) for chunk in document.chunks) <= 1200
    return time.process_time() - start


def test_a_line_of_50_mb_is_chunked(tmp_path: Path) -> None:
    assert seconds_for_a_line(tmp_path / "line.txt", "The arch holds. Is it so? 桥还在。", 50) < 60


@pytest.mark.parametrize("text", ["The arch holds. ", "a", "! ", "["])
def test_the_time_for_one_line_grows_with_its_length_only(tmp_path: Path, text: str) -> None:
    path = tmp_path / "line.md"
    seconds_for_a_line(path, text, 1)
    assert seconds_for_a_line(path, text, 5) < 3 * 5 * max(seconds_for_a_line(path, text, 1), 0.02)


@pytest.mark.parametrize("kind", ["docx", "epub"])
def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"bomb.{kind}"
    if kind == "docx":
        docx(path, paragraph("text ") * 400_000)
    else:
        epub(path, {"a.xhtml": "<p>text</p>" * 2_000_000})
    assert path.stat().st_size < 1_000_000
    refused(path, DocumentTooLarge, "MB is over the limit of 9.5 MB")


def test_a_chapter_of_any_name_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = epub(tmp_path / "a.epub", {"a.dat": "<p>text</p>" * 2_000_000})
    refused(path, DocumentTooLarge, "MB is over the limit of 9.5 MB")


def test_paragraphs_in_paragraphs_take_no_time(tmp_path: Path) -> None:
    path = docx(tmp_path / "a.docx", "<w:p>" * 60_000 + "</w:p>" * 60_000)
    start = time.perf_counter()
    refused(path, EmptyDocument, "holds no text")
    assert time.perf_counter() - start < 20


def test_chapters_of_any_name_count_together(tmp_path: Path) -> None:
    path = epub(tmp_path / "bomb.epub", {"a.bin": "<p>text</p>" * 500_000, "b.bin": "<p>text</p>" * 500_000})
    refused(path, DocumentTooLarge, "10.5 MB is over the limit of 9.5 MB")


# -- what is not what it claims to be


@pytest.mark.parametrize("suffix", ["txt", "md", "html", "unknown"])
def test_binary_data_called_text(tmp_path: Path, suffix: str) -> None:
    refused(write(tmp_path / f"a.{suffix}", random.Random(2).randbytes(5000)), UnreadableDocument, "binary data")


@pytest.mark.parametrize("suffix", ["docx", "pptx", "epub", "pdf"])
@pytest.mark.parametrize("data", [b"plain text", random.Random(3).randbytes(3000), GOOD_PDF[:200], b"PK\x03\x04"])
def test_a_suffix_that_lies(tmp_path: Path, suffix: str, data: bytes) -> None:
    refused(write(tmp_path / f"a.{suffix}", data), UnreadableDocument, "; ")


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["pdf", "docx", "pptx", "epub"])
def test_a_file_cut_off(tmp_path: Path, kind: str, part: float) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "pdf":
        write(path, pdf([[f"line {n}" for n in range(40)]] * 5))
    elif kind == "docx":
        docx(path, paragraph("text") * 100)
    elif kind == "pptx":
        pptx(path, [shape("text")])
    else:
        epub(path, {"a.xhtml": "<p>text</p>"})
    data = path.read_bytes()
    write(path, data[: int(len(data) * part)])
    try:
        refused(path, UnreadableDocument, "is damaged or cut off")
    except pytest.fail.Exception:
        # PDF readers rebuild what they can: then there is text, and all of it from the file.
        assert kind == "pdf"
        assert all("line" in chunk.text for chunk in parse(path).chunks)


def test_a_truncated_pdf_is_refused(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.pdf", GOOD_PDF[:150]), UnreadableDocument, "is damaged or cut off")


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"mimetype": "application/epub+zip"},
        {"META-INF/container.xml": "<not xml"},
        {"META-INF/container.xml": "<container/>"},
        {"META-INF/container.xml": '<c><rootfile full-path="gone.opf"/></c>'},
        {"META-INF/container.xml": '<c><rootfile full-path="a.opf"/></c>', "a.opf": "<package/>"},
    ],
)
def test_a_malformed_epub(tmp_path: Path, members: dict[str, str]) -> None:
    refused(archive(tmp_path / "a.epub", members), UnreadableDocument, "is damaged")


def test_an_image_without_text_is_called_a_scan(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.pdf", pdf([[]])), EmptyDocument, "run text recognition (OCR)")


def test_a_book_that_lacks_a_chapter(tmp_path: Path) -> None:
    path = epub(tmp_path / "a.epub", {"1.xhtml": "<p>One.</p>", "2.xhtml": "<p>Two.</p>"})
    for address in ("3.xhtml", "http://[a/2.xhtml"):
        changed = with_package(path, ("2.xhtml", address))
        refused(changed, UnreadableDocument, "lacks a chapter that it lists")
        with_package(path, (address, "2.xhtml"))


def test_a_book_with_a_chapter_that_is_no_text(tmp_path: Path) -> None:
    path = epub(tmp_path / "a.epub", {"a.xhtml": ""}, **{"OEBPS/a.xhtml": random.Random(4).randbytes(500)})
    refused(path, UnreadableDocument, "has a chapter that is not text")


@pytest.mark.parametrize("shapes", ["", picture(""), picture("image1.png"), shape(" ")])
def test_a_presentation_without_text(tmp_path: Path, shapes: str) -> None:
    refused(pptx(tmp_path / "a.pptx", [shapes, shapes]), EmptyDocument, "holds no text")


@pytest.mark.parametrize("content", ["", word_picture(""), word_picture("scan.tif"), "<w:r><w:t> </w:t></w:r>"])
def test_a_word_document_without_text(tmp_path: Path, content: str) -> None:
    refused(docx(tmp_path / "a.docx", f"<w:p>{content}</w:p>" * 2), EmptyDocument, "holds no text")


# -- protected


def test_a_pdf_with_a_password(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.pdf", PROTECTED_PDF), ProtectedDocument, "protected by a password; remove it")


@pytest.mark.parametrize("suffix", ["docx", "pptx"])
def test_an_office_file_with_a_password(tmp_path: Path, suffix: str) -> None:
    sealed = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + "EncryptedPackage".encode("utf-16-le") + bytes(500)
    refused(write(tmp_path / f"a.{suffix}", sealed), ProtectedDocument, "protected by a password; remove it")


def test_an_office_file_of_the_old_format(tmp_path: Path) -> None:
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
    refused(write(tmp_path / "a.docx", old), UnreadableDocument, "save it as DOCX or PPTX")


def test_a_book_with_drm(tmp_path: Path) -> None:
    listed = '<encryption><CipherReference URI="OEBPS/a.xhtml"/></encryption>'
    path = epub(tmp_path / "a.epub", {"a.xhtml": "<p>x</p>"}, **{"META-INF/encryption.xml": listed})
    refused(path, ProtectedDocument, "DRM")


def test_a_book_with_rights_whose_text_is_no_text(tmp_path: Path) -> None:
    sealed = {"META-INF/rights.xml": "<rights/>", "OEBPS/a.xhtml": bytes(range(256)) * 20}
    refused(epub(tmp_path / "a.epub", {"a.xhtml": ""}, **sealed), ProtectedDocument, "DRM")
    clear = epub(tmp_path / "b.epub", {"a.xhtml": "<p>Text.</p>"}, **{"META-INF/rights.xml": "<rights/>"})
    assert parse(clear).chunks[0].text == "Text."


# -- text without words


@pytest.mark.parametrize("text", ["。！？……——，、", "!?!? ... ---", "😀🎉👍🏽 👨‍👩‍👧", "¯\\_(ツ)_/¯", "1234567890"])
@pytest.mark.parametrize("suffix", ["txt", "md", "html"])
def test_text_of_punctuation_or_emoji_is_text(tmp_path: Path, text: str, suffix: str) -> None:
    chunks = parse(write(tmp_path / f"a.{suffix}", text)).chunks
    assert [chunk.text for chunk in chunks] == [text]


def test_a_long_row_of_emoji_is_not_torn(tmp_path: Path) -> None:
    family = "👨‍👩‍👧"
    chunks = parse(write(tmp_path / "a.txt", family * 500), chunk_chars=101).chunks
    assert {chunk.text.replace(family, "") for chunk in chunks} == {""}


def test_nuls_and_lone_surrogates_reach_no_store(tmp_path: Path) -> None:
    data = b"Some text, long enough to be text, with a NUL\0 here and a surrogate \xed\xa0\x80 there. " * 3
    text = parse(write(tmp_path / "a.txt", data)).chunks[0].text
    assert "\0" not in text
    assert "NUL\ufffd here and a surrogate \ufffd there." in text
    text.encode("utf-8")


# -- the converter process


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A presentation of 15 KB on which kreuzberg 4.10 overflows its stack and ends its process."""
    group = "<p:grpSp><p:nvGrpSpPr/><p:grpSpPr/>"
    return pptx(tmp_path / "deep.pptx", [group * 100_000 + shape("deep") + "</p:grpSp>" * 100_000])


def test_a_file_that_kills_the_converter_costs_one_document(tmp_path: Path, deep: Path) -> None:
    refused(deep, UnreadableDocument, "the converter failed on it")
    assert parse(write(tmp_path / "next.html", "<p>Next.")).chunks[0].text == "Next."


def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "MAX_SECONDS", 0.3)
    slow = write(tmp_path / "slow.html", "<p>word</p>" * 600_000)
    start = time.perf_counter()
    refused(slow, UnreadableDocument, "took more than 0 s; save it anew, or split it")
    assert time.perf_counter() - start < 5


def test_the_converter_that_was_killed_is_started_again(tmp_path: Path) -> None:
    page = write(tmp_path / "a.html", "<p>Text.")
    parse(page)
    assert isolation._process
    isolation._process.kill()
    isolation._process.wait()
    assert parse(page).chunks[0].text == "Text."


def test_an_idle_converter_that_ends_just_now_is_not_an_error(tmp_path: Path) -> None:
    page = write(tmp_path / "a.html", "<p>Text.")
    parse(page)
    process = isolation._process
    assert process and process.stdin
    process.stdin.close()  # it ends by itself, with code 0, before we know
    process.stdin = open(os.devnull, "wb")  # noqa: SIM115
    assert parse(page).chunks[0].text == "Text."
    assert isolation._process is not process


def test_after_an_interrupted_file_the_next_gets_its_own_answer(tmp_path: Path) -> None:
    class SoftTimeLimit(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise SoftTimeLimit

    slow = write(tmp_path / "slow.html", "<p>word</p>" * 600_000)
    parse(write(tmp_path / "a.html", "<p>Warm."))
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(SoftTimeLimit):
            parse(slow)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert parse(write(tmp_path / "a.html", "<p>Next.")).chunks[0].text == "Next."


def test_ctrl_c_and_stop_signals_to_the_group_leave_the_converter_to_its_parent(tmp_path: Path) -> None:
    page = write(tmp_path / "a.html", "<p>Text.")
    parse(page)
    process = isolation._process
    assert process
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert parse(page).chunks[0].text == "Text."
    assert isolation._process is process


def test_threads_and_forked_processes_each_get_their_own_answer(tmp_path: Path) -> None:
    pages = [write(tmp_path / f"{n}.html", f"<p>Page {n}.") for n in range(8)]
    found: dict[int, str] = {}

    def read(number: int) -> None:
        found[number] = parse(pages[number]).chunks[0].text

    threads = [threading.Thread(target=read, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child = os.fork()
    if child == 0:
        os._exit(0 if parse(pages[3]).chunks[0].text == "Page 3." else 1)
    assert os.waitpid(child, 0)[1] == 0
    read(0)
    assert found == {n: f"Page {n}." for n in range(8)}


def test_nothing_is_printed_and_no_process_stays(tmp_path: Path, deep: Path) -> None:
    files = [write(tmp_path / "a.html", "<p>x"), write(tmp_path / "a.pdf", GOOD_PDF[:150]), deep]
    files.append(write(tmp_path / "p.pdf", PROTECTED_PDF))
    code = (
        "import sys; from pathlib import Path; from smart_rag_tasks.documents import parse_file, isolation\n"
        "for name in sys.argv[1:]:\n"
        "    try: parse_file(Path(name), chunk_chars=1200, max_bytes=10**8, max_chunks=10**5)\n"
        "    except Exception: pass\n"
        "print(isolation._process.pid)"
    )
    run = subprocess.run([sys.executable, "-c", code, *map(str, files)], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    assert run.stdout.strip().isdigit()
    assert not Path(f"/proc/{run.stdout.strip()}").exists()


def test_the_converter_of_a_killed_process_ends(tmp_path: Path) -> None:
    page = write(tmp_path / "a.html", "<p>x")
    code = (
        "import sys, time; from pathlib import Path; from smart_rag_tasks.documents import parse_file, isolation\n"
        "parse_file(Path(sys.argv[1]), chunk_chars=1200, max_bytes=10**8, max_chunks=10**5)\n"
        "print(isolation._process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(page)], stdout=subprocess.PIPE) as run:
        assert run.stdout
        converter = Path(f"/proc/{int(run.stdout.readline())}")
        assert converter.exists()
        run.kill()
    limit = time.monotonic() + 10
    while converter.exists() and time.monotonic() < limit:
        time.sleep(0.05)
    assert not converter.exists()


def test_damaged_files_of_every_kind_give_our_errors_only(tmp_path: Path) -> None:
    rnd = random.Random(9)
    samples = {
        "pdf": pdf([["Some text on a page."]] * 3, "Title"),
        "docx": docx(tmp_path / "s.docx", paragraph("text &amp; more") * 20).read_bytes(),
        "pptx": pptx(tmp_path / "s.pptx", [shape("a", "title") + shape("b")], {1: "note"}).read_bytes(),
        "epub": epub(tmp_path / "s.epub", {"a.xhtml": "<h1>a</h1><p>b</p>", "b.xhtml": "<p>c</p>"}).read_bytes(),
        "html": b"<html><h1>a</h1><table><tr><td>b</table></html>" * 5,
    }
    results = set()
    for kind, data in samples.items():
        for _ in range(60):
            damaged = bytearray(data)
            for _ in range(rnd.choice([1, 5, 50])):
                damaged[rnd.randrange(len(damaged))] = rnd.randrange(256)
            path = write(tmp_path / f"damaged.{kind}", bytes(damaged[: rnd.choice([None, rnd.randrange(9999)])]))
            try:
                results.add(type(parse(path)))
            except DocumentError as error:
                assert str(error).startswith(str(path))
                assert "\n" not in str(error)
                results.add(type(error))
    assert len(results) >= 3


def test_every_error_of_the_converter_is_one_of_ours() -> None:
    assert all(issubclass(getattr(errors, name), DocumentError) for name in ("EmptyDocument", "ProtectedDocument"))
