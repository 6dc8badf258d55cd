"""The command line as a person uses it: in a subprocess, in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from stack import TESTS, Stack, wait_until

from smart_rag_tasks.cli import run, waiting
from smart_rag_tasks.cli.progress import Bars
from smart_rag_tasks.client import Client, NotFinished
from smart_rag_tasks.document_processor import DocumentProcessor
from smart_rag_tasks.errors import BrokerUnreachable, StoreUnavailable
from smart_rag_tasks.stages import planning

CLI = [sys.executable, "-m", "smart_rag_tasks"]


def cli(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *words], cwd=folder, env=os.environ | env, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ends.py").write_text("raise SystemExit(0)\n", encoding="utf-8")
    (tmp_path / "wrong.py").write_text("X = 1\ndef f(:\n", encoding="utf-8")
    (tmp_path / "docs").mkdir()
    tea = "# Tea\n\nTea is grown on slopes. The leaves are picked by hand in spring.\n"
    (tmp_path / "docs/tea.md").write_text(tea, encoding="utf-8")
    (tmp_path / "docs/队列.md").write_text("# 队列\n\n任务队列把工作放到后台。工人从队列取任务。\n", encoding="utf-8")
    return tmp_path


def left_over(folder: Path) -> list[str]:
    """Processes that have the folder in their command line or environment."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        if process.info["cwd"] and process.info["cwd"].startswith(str(folder)):
            found.append(" ".join(process.info["cmdline"] or []))
    return found


def test_run_then_look_then_run_again(folder: Path) -> None:
    first = cli(folder, "run", "docs")
    assert 0 == first.returncode, first.stderr
    assert "2 documents" in first.stdout and "2 generated" in first.stdout
    assert max(len(line) for line in first.stdout.splitlines()) <= 80

    records = json.loads(cli(folder, "list", "--json").stdout)
    assert {"completed"} == {record["status"] for record in records}
    shown = cli(folder, "show", "tea")
    assert "Tea is grown on slopes" in shown.stdout
    chunk = json.loads(cli(folder, "export", "tea", "--jsonl").stdout.splitlines()[0])
    assert "done" == chunk["status"] and chunk["metadata"]["keywords"]
    assert "zh" in {json.loads(line)["metadata"]["language"] for line in cli(folder, "export").stdout.splitlines()}

    again = json.loads(cli(folder, "run", "docs", "--json").stdout)
    assert 2 == sum(record["unchanged"] for record in again)

    for words in (("delete", "tea", "--yes"), ("delete", "", "--yes"), ("retry", "tea"), ("cancel", "")):
        assert 2 == cli(folder, *words).returncode  # a script names the document that it means
    assert 2 == len(json.loads(cli(folder, "list", "--json").stdout))
    (whole,) = (record["document_id"] for record in records if record["document_id"].startswith("tea"))
    assert f"{whole} is deleted, 1 chunk." in cli(folder, "delete", whole, "--yes").stdout
    assert [] == left_over(folder)


def test_without_a_broker_nobody_waits_for_ever(folder: Path) -> None:
    for words in (("run", "docs"), ("submit", "docs", "--wait")):
        done = cli(folder, *words, REDIS_URL="redis://127.0.0.1:1/0")
        assert 1 == done.returncode
        assert "Error: the broker at redis://127.0.0.1:1/0 does not answer" in done.stderr
        assert "check REDIS_URL" in done.stderr
    assert "2 documents" in cli(folder, "run", "docs").stdout


def test_a_broker_that_goes_is_waited_for_a_while(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(waiting, "_LOOK", 0.0)
    with Stack(tmp_path) as stack:
        watch = waiting.BrokerWatch()
        watch()
        stack.redis.stop()
        watch()
        monkeypatch.setattr(waiting, "_PATIENCE", 0.0)
        with pytest.raises(BrokerUnreachable, match="the same command goes on"):
            watch()


def test_a_store_that_goes_is_waited_for_a_while(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with Stack(tmp_path):
        client = Client()
        progress = TwiceAway((1, 1, 0))
        monkeypatch.setattr(client, "progress", progress)
        waiting.wait_for(client, ["none"], Bars(0), lambda: None)
        assert progress.answers == []

        submit_file = client.submit_file
        away = TwiceAway(None)
        monkeypatch.setattr(client, "submit_file", lambda *words, **more: away() or submit_file(*words, **more))
        docs = tmp_path / "docs"
        docs.mkdir()
        (docs / "a.md").write_text("# A\n\nText about tea.", encoding="utf-8")
        (docs / "link.md").symlink_to("nowhere")
        job = run.Job()
        job._client = client
        job._submit(docs / "a.md")
        assert len(job.taken) == 1 and not away.answers
        processor = DocumentProcessor(docs, tmp_path / "out", client=client)
        (run_id,) = processor.submit().values()
        assert list(processor.refused) == [str(docs / "link.md")]
        monkeypatch.setattr(planning, "look", TwiceAway(planning.look(client.env, run_id)))
        with pytest.raises(NotFinished):
            client.result(run_id, timeout=1.0)
        monkeypatch.setattr(planning, "look", TwiceAway(None))
        with pytest.raises(StoreUnavailable):
            client.result(run_id)
        monkeypatch.setattr(client, "under_way", ended := TwiceAway({run_id}))
        processor.process(timeout=1.0)
        assert len(ended.answers) < 2


class TwiceAway:
    """Answers twice that the store is away, and then always the same."""

    def __init__(self, answer: object) -> None:
        self.answers, self.last = [StoreUnavailable("away"), StoreUnavailable("away")], answer

    def __call__(self, *_: object) -> object:
        if self.answers:
            raise self.answers.pop()
        return self.last


def test_what_a_list_leaves_out_is_said(folder: Path) -> None:
    cli(folder, "run", "docs")
    assert "… 1 more: --limit N shows N, --json all" in cli(folder, "list", "--limit", "1").stdout
    assert "more" not in cli(folder, "list").stdout
    assert 0 == json.loads(cli(folder, "status", "--json").stdout)["more"]


def test_a_terminal_without_chinese_gets_escapes(folder: Path) -> None:
    cli(folder, "run", "docs")
    listed = cli(folder, "list", PYTHONIOENCODING="ascii")
    assert 0 == listed.returncode and "\\u961f" in listed.stdout
    assert "队列" in {
        record["title"] for record in json.loads(cli(folder, "list", "--json", PYTHONIOENCODING="latin-1").stdout)
    }
    lines = cli(folder, "export", PYTHONIOENCODING="ascii").stdout.splitlines()
    assert any("队列" in json.loads(line)["text"] for line in lines)


def test_output_that_goes_nowhere_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # what is held back until the end fails there again
    cli(folder, "run", "docs")
    for command in ("list", "export", "export --jsonl /dev/full"):
        done = subprocess.run(
            f"{sys.executable} -m smart_rag_tasks {command} > /dev/full",
            shell=True, cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert 1 == done.returncode
        assert "Error: the output cannot be written: No space left on device\n" == done.stderr
    closed = subprocess.run(f"{sys.executable} -m smart_rag_tasks run docs >&-", shell=True, cwd=folder, check=False)
    assert 0 == closed.returncode
    assert 2 == cli(folder, "export", "--jsonl", "docs").returncode
    assert 2 == cli(folder, "export", "--jsonl", "nowhere/file").returncode


def test_files_that_cannot_be_read_do_not_stop_the_others(folder: Path) -> None:
    (folder / "docs/empty.md").write_text("", encoding="utf-8")
    (folder / "docs/binary.txt").write_bytes(os.urandom(3000))
    (folder / "docs/[b]odd[red] :smile:\x1b[31m\n.txt").write_text("", encoding="utf-8")
    (folder / os.fsdecode(b"docs/not-utf-8\xfe.txt")).write_text("", encoding="utf-8")

    done = cli(folder, "run", "docs", "nowhere.md")

    assert 1 == done.returncode, done.stderr
    assert "empty.md: the file is empty" in done.stdout
    assert "[b]odd[red] :smile:\ufffd[31m\ufffd.txt: the file is empty" in done.stdout
    assert "nowhere.md: no such file or folder" in done.stdout
    assert "binary.txt: holds binary data" in done.stdout
    assert "2 documents" in done.stdout
    records = json.loads(cli(folder, "run", "docs", "--json", PYTHONIOENCODING="utf-8:strict").stdout)
    assert 4 == [record["status"] for record in records].count("refused")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "nowhere"), "nowhere"),
        (("run",), "Missing argument"),
        (("run", "docs", "--workers", "0"), "--workers"),
        (("run", "docs", "--generator", "nosuch"), "nosuch"),
        (("run", "docs", "--store", "mysql://x/y"), "SMART_RAG_STORE_URL: mysql is not supported"),
        (("list", "--store", "docs/tea.md"), "SMART_RAG_STORE_URL: the file is no SQLite database"),
        (
            ("run", "docs", "--generator", "ends:X"),
            "SMART_RAG_GENERATOR: 'ends:X' cannot be loaded (SystemExit at ends.py:1)",
        ),
        (("run", "docs", "--generator", "wrong:X"), "'wrong:X' cannot be loaded (SyntaxError at wrong.py:2)"),
        (("list", "--store", ":memory:"), "a SQLite store must be a file"),
        (("list", "--store", "sqlite+aiosqlite:///x.db"), "SMART_RAG_STORE_URL: sqlite+aiosqlite is not supported"),
        (("run", "docs", "--store", "/proc/none/store.db"), "/proc/none: No such file or directory; check the path"),
        (("show", "nothing"), "no such document"),
        (("list", "--status", "odd"), "--status"),
        (("status", "--watch", "--json"), "--watch is for people"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(folder: Path, words: tuple[str, ...], said: str) -> None:
    done = cli(folder, *words)
    assert 2 == done.returncode, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("*.db"))


@pytest.mark.parametrize("command", [("run", "docs"), ("up",)])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMART_RAG_SINK", "nosuch:Sink"),
        ("SMART_RAG_GENERATOR", "nosuch"),
        ("CELERY_LOG_FILE", "/proc/nosuch/log"),
        ("SMART_RAG_ALERTS", '{"nosuch": {}}'),
    ],
)
def test_what_would_end_every_worker_is_said_before_anything_starts(
    folder: Path, command: tuple[str, ...], name: str, value: str
) -> None:
    done = cli(folder, *command, **{name: value})
    assert 2 == done.returncode
    assert done.stderr.startswith(f"Error: {name}: ")
    assert 1 == done.stderr.count("\n")
    assert "nosuch" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("FLOWER_BASIC_AUTH", "nocolon", "must be user:password"),
        ("FLOWER_ADDRESS", "0.0.0.0", "FLOWER_BASIC_AUTH=user:password"),
    ],
)
def test_flower_s_settings_are_refused_before_anything_starts(folder: Path, name: str, value: str, reason: str) -> None:
    done = cli(folder, "up", **{name: value})
    assert 2 == done.returncode
    assert reason in done.stderr
    assert not done.stdout
    assert [] == left_over(folder)


def test_a_sink_in_the_current_folder_is_found_by_the_installed_program(folder: Path) -> None:
    shutil.copy(TESTS / "file_sink.py", folder)
    env = os.environ | {"SMART_RAG_SINK": "file_sink:FileSink", "FILE_SINK": str(folder / "fed")}
    program = str(Path(sys.executable).with_name("smart-rag-tasks"))
    done = subprocess.run([program, "run", "docs"], cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert 0 == done.returncode, done.stderr
    assert (folder / "fed").exists()


def test_a_misspelt_setting_is_told_once_by_run_and_by_its_worker(folder: Path) -> None:
    done = cli(folder, "run", "docs", SMART_RAG_STROE="secret.db")
    told = "names in the environment that nothing reads: SMART_RAG_STROE (meant as SMART_RAG_STORE_URL?)"
    assert (0, f"Warning: {told}\n") == (done.returncode, done.stderr)
    log = (folder / ".smart_rag_tasks/run.log").read_text(encoding="utf-8")
    assert (1, 0) == (log.count(told), log.count("secret"))


def test_a_folder_without_documents(folder: Path) -> None:
    (folder / "nothing").mkdir()
    done = cli(folder, "run", "nothing")
    assert 2 == done.returncode
    assert "nothing" in done.stderr


def test_a_store_that_is_damaged_or_anothers_is_told_in_a_line(folder: Path) -> None:
    cli(folder, "run", "docs")
    store = (folder / ".smart_rag_tasks/store.db").read_bytes()
    (folder / "cut.db").write_bytes(store[: len(store) // 3])
    with closing(sqlite3.connect(folder / "other.db")) as other:
        other.execute("CREATE TABLE documents (id INTEGER)")
    told = {
        "cut.db": "The store's file is damaged",
        "other.db": "The database is another",
        "docs": "check that it is a file",
    }
    for name, said in told.items():
        done = cli(folder, "list", "--store", name)
        assert (1, 1) == (done.returncode, done.stderr.count("\n")), done.stderr
        assert said in done.stderr


def test_what_a_generator_prints_is_no_json(folder: Path) -> None:
    (folder / "loud.py").write_text(
        "from smart_rag_tasks.metadata.extractive import ExtractiveGenerator as X\nprint('hi')\n", encoding="utf-8"
    )
    assert 2 == len(json.loads(cli(folder, "run", "docs", "--generator", "loud:X", "--json").stdout))


def test_a_folder_that_is_gone_is_told(folder: Path) -> None:
    (folder / "gone").mkdir()
    words = ["sh", "-c", 'cd gone && rmdir ../gone && exec "$@"', "sh", *CLI, "list"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert (2, "Error: the current folder is not there any more; go to another one\n") == (done.returncode, done.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_submit_is_told_how_far_it_came(folder: Path, number: int) -> None:
    for name in range(400):
        (folder / f"docs/{name:03}.md").write_text(f"# Number {name}\n\nText.", encoding="utf-8")
    with Stack(folder / "stack") as stack:
        running = subprocess.Popen(
            [*CLI, "submit", "docs"],
            cwd=folder,
            env=os.environ | stack.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        wait_until(lambda: len(Client().document_ids()) > 3, timeout=30, what="some documents")
        running.send_signal(number)
        out, said = running.communicate(timeout=30)
        taken = len(Client().document_ids())
    assert (128 + number, b"") == (running.returncode, out)
    assert re.search(rb"Stopped: \d+ of 402 files handed over. They go on;", said), said
    assert int(said.split(b"Stopped: ")[1].split()[0]) in (taken, taken - 1)


def test_files_that_are_gone_are_named(folder: Path) -> None:
    (folder / "docs/gone.md").write_text("# Gone\n\nIt tells of tea.", encoding="utf-8")
    assert 0 == cli(folder, "run", "docs").returncode
    (folder / "docs/gone.md").unlink()
    done = cli(folder, "run", "docs")
    said, name = done.stderr.splitlines()
    assert (0, "No file any more: 1 document;") == (done.returncode, said[:29])
    assert name.startswith("gone.md-")
    machine = cli(folder, "run", "docs", "--json")
    assert (2, done.stderr) == (len(json.loads(machine.stdout)), machine.stderr)
    assert 0 == cli(folder, "delete", name, "--yes").returncode
    assert "" == cli(folder, "run", "docs").stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_process_and_the_next_run_goes_on(folder: Path, number: int) -> None:
    text = "".join(
        f"# Part {n}\n\nSentence number {n} tells of tea. And another one about slopes.\n\n" for n in range(400)
    )
    (folder / "docs/long.md").write_text(text, encoding="utf-8")
    ledger = folder / "ledger"
    env = os.environ | {
        "SMART_RAG_GENERATOR": "testing_generators:LedgerGenerator",
        "SMART_RAG_GENERATOR_OPTIONS": json.dumps({"ledger": str(ledger), "seconds": 0.01}),
        "PYTHONPATH": str(TESTS),
    }
    running = subprocess.Popen(
        [*CLI, "run", "docs"], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_until(lambda: ledger.exists() and len(ledger.read_text().splitlines()) > 20, timeout=40, what="some work")
    running.send_signal(number)
    assert running.stderr is not None
    assert b"Stopping: workers have 5 s to give back their work.\n" == running.stderr.readline()
    assert running.poll() is None  # said at once, not when it is over
    _, said = running.communicate(timeout=60)
    assert 128 + number == running.returncode
    assert b"Nothing is lost" in said
    wait_until(lambda: not left_over(folder), timeout=10, what="processes to go")

    done = subprocess.run(
        [*CLI, "run", "docs", "--json"], cwd=folder, env=env, capture_output=True, text=True, timeout=120
    )
    assert 0 == done.returncode, done.stderr
    assert {"completed"} == {record["status"] for record in json.loads(done.stdout)}
    lines = ledger.read_text().splitlines()
    assert len(lines) - len({tuple(line.split("\t")[:2]) for line in lines}) <= 60  # at most the batches in flight


def start_run(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A ``run`` of a document that does not end before `open_gate`, and of all else, from the first chunk on."""
    ledger = folder / "ledger"
    env = os.environ | {
        "SMART_RAG_GENERATOR": "testing_generators:LedgerGenerator",
        "SMART_RAG_GENERATOR_OPTIONS": json.dumps({"ledger": str(ledger)}),
        "PYTHONPATH": str(TESTS),
        "WORKER_CONCURRENCY": "2",
    }
    text = "".join(f"# Part {n}\n\nSentence number {n} tells of tea.\n\n" for n in range(200))
    text += f"# The last\n\nIt waits for gate:{folder}/gate here.\n"
    (folder / "docs/long.md").write_text(text, encoding="utf-8")
    pipe = subprocess.PIPE
    running = subprocess.Popen([*CLI, "run", "docs", *words], cwd=folder, env=env, stdout=pipe, stderr=pipe, text=True)
    wait_until(lambda: ledger.exists() and "long" in ledger.read_text(), timeout=40, what="some work")
    return running


def open_gate(folder: Path) -> None:
    (folder / "gate").touch()


def id_of_long(folder: Path) -> str:
    records = json.loads(cli(folder, "list", "--json").stdout)
    (found,) = (record["document_id"] for record in records if record["document_id"].startswith("long"))
    return str(found)


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (("cancel",), "cancelled", "cancelled by an operator"),
        (("delete", "--yes"), "deleted", "the document was deleted"),
    ],
)
def test_run_tells_what_others_did_to_its_documents(
    folder: Path, words: tuple[str, ...], status: str, reason: str
) -> None:
    (folder / "docs/empty.md").write_text("", encoding="utf-8")
    running = start_run(folder)
    long = id_of_long(folder)
    assert 0 == cli(folder, *words, long).returncode
    open_gate(folder)
    out, err = running.communicate(timeout=60)

    assert 1 == running.returncode, err
    assert f" {status} " in out and f"{long}: {reason}" in out
    assert "tea.md" in out and "empty.md: the file is empty" in out  # the others are told of
    generated, left = (int(found) for found in re.findall(r"(\d+) (?:generated|not\s+done)", out))
    chunks = int(re.findall(r"(\d+) chunks", out)[0])
    assert chunks == generated + left and left > 0
    assert max(len(line) for line in out.splitlines() if not line.startswith("refused")) <= 80


def test_run_says_that_a_document_is_paused_and_that_another_run_took_it_over(folder: Path) -> None:
    running = start_run(folder, "--json")
    long = id_of_long(folder)
    assert 0 == cli(folder, "pause", long).returncode
    assert running.stderr is not None
    assert running.stderr.readline() == f"{long} is paused: `smart-rag-tasks resume {long}` goes on\n"
    (folder / "docs/long.md").write_text("# Short\n\nIt is short now.\n", encoding="utf-8")
    assert 0 == cli(folder, "submit", "docs/long.md").returncode
    open_gate(folder)
    out, err = running.communicate(timeout=60)

    assert 1 == running.returncode, err
    (record,) = (record for record in json.loads(out) if record["document_id"] == long)
    assert "cancelled" == record["status"]
    assert "superseded by a newer submission" == record["reason"]
    assert record["done"] < record["total"]


def test_run_says_why_chunks_failed(folder: Path) -> None:
    (folder / "docs/bad.md").write_text("# Bad\n\nThis one is wrong: for ever.\n", encoding="utf-8")
    options = {"ledger": str(folder / "ledger")}
    done = cli(
        folder, "run", "docs", PYTHONPATH=str(TESTS), SMART_RAG_GENERATOR="testing_generators:LedgerGenerator",
        SMART_RAG_GENERATOR_OPTIONS=json.dumps(options),
    )  # fmt: skip
    assert 1 == done.returncode
    assert "1 chunk failed, the first with ValueError: " in done.stdout
    assert "for ever" not in done.stdout


def test_the_same_group_under_celerys_own_command(folder: Path) -> None:
    celery = [sys.executable, "-m", "celery", "-A", "smart_rag_tasks", "rag", "list"]
    done = subprocess.run(celery, cwd=folder, capture_output=True, text=True, timeout=60)
    assert 0 == done.returncode, done.stderr
    assert "No documents" in done.stdout


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = "import sys; from smart_rag_tasks.cli import rag; rag(['--help'], standalone_mode=False); "
    code += "print([name for name in ('celery', 'sqlalchemy', 'pydantic', 'rich', 'kreuzberg') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


def test_up_starts_everything_and_stops_it(folder: Path) -> None:
    log = (folder / "up.log").open("wb")
    env = os.environ | {"FLOWER_PORT": "0"}
    up = subprocess.Popen([*CLI, "up"], cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        text = (folder / "up.log").read_text
        wait_until(lambda: text().count(" ready.") >= 2 or up.poll() is not None, timeout=60, what="the workers")
        assert up.poll() is None, text()
        done = cli(folder, "submit", "docs", "--wait", "--json")
        assert 0 == done.returncode, done.stdout + done.stderr
        for name in ("worker1", "priority", "beat", "flower"):
            assert f"{name} " in text(), text()
    finally:
        up.send_signal(signal.SIGINT)
        begin = time.monotonic()
        up.wait(60)
    assert time.monotonic() - begin < 40
    wait_until(lambda: not left_over(folder), timeout=10, what="processes to go")


def test_files_of_the_current_folder_stand_in_for_no_library(folder: Path) -> None:
    for name in ("celery", "redis", "queue"):
        (folder / f"{name}.py").write_text("raise RuntimeError('mine')\n")
    (folder / "mine.py").write_text("from testing_generators import LedgerGenerator as Mine\n")
    options = {"ledger": str(folder / "ledger")}
    program = Path(sys.executable).with_name("smart-rag-tasks")
    env = os.environ | {"PYTHONPATH": str(TESTS), "SMART_RAG_GENERATOR_OPTIONS": json.dumps(options)}
    command = [program, "run", "docs", "--generator", "mine:Mine", "--json"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert 0 == done.returncode, done.stdout + done.stderr


def test_a_folder_s_name_may_mean_something_in_a_url(folder: Path) -> None:
    odd = folder / "q?x=1%41"
    odd.mkdir()
    done = cli(odd, "run", "../docs", "--store", "a?b.db")
    assert 0 == done.returncode, done.stdout + done.stderr
    assert (odd / "a?b.db").exists()
    assert 0 == cli(odd, "run", "../docs").returncode
    assert (odd / ".smart_rag_tasks/store.db").exists()


def test_run_under_celerys_own_command(folder: Path) -> None:
    celery = [sys.executable, "-m", "celery", "-A", "smart_rag_tasks", "rag", "run", "docs"]
    done = subprocess.run(celery, cwd=folder, capture_output=True, text=True, timeout=60)
    assert 0 == done.returncode, done.stdout + done.stderr


def test_show_gives_as_many_chunks_as_are_asked_for(folder: Path) -> None:
    (folder / "docs/long.md").write_text("# Long\n\n" + "It is a long text about slopes. " * 200, encoding="utf-8")
    cli(folder, "run", "docs/long.md")
    shown = json.loads(cli(folder, "show", "long", "--json").stdout)
    assert 1 < shown["total"] == len(shown["chunks"])
    assert 1 == len(json.loads(cli(folder, "show", "long", "--json", "--chunks", "1").stdout)["chunks"])


def test_an_argument_that_is_no_utf_8_is_one_line(folder: Path) -> None:
    cli(folder, "run", "docs/tea.md")
    assert cli(folder, "show", "\udcff").stderr.startswith("Error: an argument or a file's name is no UTF-8")
