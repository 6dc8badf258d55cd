"""The real Flower: who may come in, what it shows, and what it never shows."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import PASSWORD, SECRET, Desk, eventually, free_port

USER = "desk:correct-horse"
#: Where screenshots go: into the documents with SCREENSHOTS=1, else where pytest keeps its files.
IMAGES = Path(__file__).parents[2] / "docs" / "images" if os.environ.get("SCREENSHOTS") else None


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("flower"))
    try:
        made.worker()
        yield made
    finally:
        made.close()


def start_flower(desk: Desk, name: str = "flower", port: int = 0, **env: str) -> str:
    """Flower's address, when it answers."""
    port = port or free_port()
    command = ["celery", "-A", "smart_rag_tasks", "flower", f"--port={port}"]
    process = desk.start(name, *command, **{"FLOWER_BASIC_AUTH": USER, **env})

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0 or process.poll() is not None

    assert eventually(answers)
    assert process.poll() is None, desk.text(name)
    return f"http://127.0.0.1:{port}"


def get(url: str, user: str | None = USER, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(url, method=method)
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope="module")
def flower(desk: Desk) -> str:
    url = start_flower(desk)
    eventually(lambda: json.loads(get(url + "/workers?json=1")[1])["data"])
    return url


def tasks(url: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(url + "/api/tasks?limit=10000")[1])
    return found


def end_flower(desk: Desk, *options: str, **env: str) -> tuple[int, str]:
    """Exit code and output of a Flower that is expected to refuse."""
    done = desk.run("-m", "celery", "-A", "smart_rag_tasks", "flower", *options, check=False, **env)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "env"), [(["--address=0.0.0.0"], {"FLOWER_BASIC_AUTH": ""}), ([], {"FLOWER_ADDRESS": "0.0.0.0"})]
)
def test_without_a_password_it_refuses_to_be_reached_from_elsewhere(
    desk: Desk, options: list[str], env: dict[str, str]
) -> None:
    code, output = end_flower(desk, *options, **env)
    assert code == 2
    assert output.count("\n") == 1
    assert "FLOWER_BASIC_AUTH=user:password" in output


def test_credentials_that_are_none_are_refused(desk: Desk) -> None:
    code, output = end_flower(desk, FLOWER_BASIC_AUTH="desk:pass,word")
    assert (code, output.count("\n")) == (2, 1)
    assert "must be user:password" in output
    assert "word" not in output.replace("password", "")


def test_without_redis_it_ends_with_one_line(desk: Desk) -> None:
    code, output = end_flower(desk, REDIS_URL=f"redis://:hidden@127.0.0.1:{free_port()}/0")
    assert (code, output.count("\n")) == (1, 1)
    assert "does not answer" in output
    assert "hidden" not in output


def test_a_taken_port_is_one_line(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, output = end_flower(desk, f"--port={taken.getsockname()[1]}")
    assert (code, output.count("\n")) == (2, 1)
    assert "choose another port" in output


def test_a_wrong_setting_is_one_line(desk: Desk) -> None:
    code, output = end_flower(desk, FLOWER_PORT="70000")
    assert (code, output.count("\n")) == (2, 1)
    assert "FLOWER_PORT" in output


def test_on_loopback_it_needs_no_password_and_listens_nowhere_else(desk: Desk) -> None:
    url = start_flower(desk, "open-flower", FLOWER_BASIC_AUTH="")
    try:
        assert get(url + "/workers", user=None)[0] == 200
        port = int(url.rpartition(":")[2])
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex(("127.0.0.2", port)) != 0
    finally:
        desk.stop("open-flower")


def handlers() -> list[str]:
    from flower.urls import handlers as known

    patterns = [entry.regex.pattern if hasattr(entry, "regex") else entry[0] for entry in known]
    paths = [re.sub(r"\(\.[*+]\)", "x", pattern.rstrip("$")) for pattern in patterns]
    public = {"/static/x", ".*", "/login/?", "/logout"}  # style sheets, "not found", and the ends of a log-in
    return [path for path in paths if path not in public]


@pytest.mark.parametrize("user", [None, "desk:wrong", "admin:admin123", ":"])
def test_every_page_needs_the_credentials(flower: str, user: str | None) -> None:
    paths = handlers()
    assert {"/", "/metrics", "/healthcheck", "/api/tasks"} <= set(paths)
    for path in paths:
        method = (
            "POST" if re.match(r"/api/(worker/|task/(apply|async|send|abort|timeout|rate|revoke))", path) else "GET"
        )
        assert get(flower + path, user, method)[0] == 401, path


def test_with_the_credentials_metrics_and_health_answer(flower: str) -> None:
    assert get(flower + "/healthcheck") == (200, "OK")
    assert "flower_events_total" in get(flower + "/metrics")[1]


def test_a_pipeline_can_be_followed_by_its_document(desk: Desk, flower: str) -> None:
    run_id = desk.submit("handbook.md", ["one"] * 60)
    found = eventually(lambda: tasks(flower).get(run_id, {}).get("state") == "SUCCESS" and tasks(flower))
    assert found[run_id]["args"] == "('handbook.md',)"
    assert "'processed_chunks': 60" in found[run_id]["result"]
    batches = [task for task in found.values() if task["name"].endswith("generate_batch") and task["args"]]
    assert len(batches) > 1
    assert all(task["args"].startswith("('handbook.md', batch ") for task in batches)
    page = get(flower + "/task/" + run_id)[1]
    assert "handbook.md" in page
    assert "completed: 60 chunks in" in page


def test_progress_is_seen_while_the_work_goes_on(desk: Desk, flower: str) -> None:
    run_id = desk.submit("slow.md", [f"WAIT 0.25 {number}" for number in range(24)], wait=False)
    assert eventually(lambda: tasks(flower).get(run_id, {}).get("state") == "PROGRESS")
    page = eventually(lambda: re.search(r"generation: \d+ of 24 chunks", get(f"{flower}/task/{run_id}")[1]))
    assert page
    assert eventually(lambda: tasks(flower)[run_id]["state"] == "SUCCESS")


def test_a_chunk_s_text_is_seen_nowhere(desk: Desk, flower: str) -> None:
    """Also not from producers that are not ours, who tell all arguments in their own words."""
    desk.submit("quiet.md", [f"{number}" for number in range(60)] + ["FAIL"])
    desk.python(
        "from celery import Celery\n"
        "import os\n"
        "url = os.environ['REDIS_URL']\n"
        "foreign = Celery(broker=url, backend=url)\n"
        "foreign.conf.task_send_sent_event = True\n"
        "task = 'smart_rag_tasks.generate_metadata_for_chunk'\n"
        f"sent = foreign.send_task(task, ['c1', '{SECRET}', 'foreign.md'], queue='metadata_queue')\n"
        f"assert '{SECRET}' in str(sent.get(timeout=20))\n"
        "task = 'smart_rag_tasks.process_document_pipeline'\n"
        f"chunks = [{{'chunk_id': 'c', 'text': '{SECRET}'}}]\n"
        "sent = foreign.send_task(task, ['foreign.md', chunks], queue='intake_queue')\n"
        "sent.get(timeout=20)\n"
        "foreign.send_task(task, ['waiting.md', chunks], queue='nobody_serves_this')\n"
    )
    names = {task["name"].rpartition(".")[2] for task in tasks(flower).values()}
    assert {"generate_metadata_for_chunk", "process_document_pipeline", "generate_batch"} <= names
    assert eventually(lambda: any("waiting.md" in str(task["args"]) for task in tasks(flower).values()))
    table = "draw=1&start=0&length=500&order[0][column]=0&columns[0][data]=name&order[0][dir]=asc"
    pages = [get(flower + path)[1] for path in ("/api/tasks?limit=10000", "/tasks/datatable?" + table, "/metrics")]
    for task_id in tasks(flower):
        pages += [get(f"{flower}/task/{task_id}")[1], get(f"{flower}/api/task/result/{task_id}")[1]]
        pages += [get(f"{flower}/api/task/info/{task_id}")[1]]
    desk.submit("in-hand.md", [f"WAIT 0.5 {number}" for number in range(30)], wait=False)
    worker = next(iter(json.loads(get(flower + "/api/workers?refresh=1")[1])))
    inspected = eventually(lambda: [page for page in [get(f"{flower}/worker/{worker}")[1]] if "in-hand.md" in page])
    together = "".join([*pages, *inspected, get(flower + "/broker")[1], get(flower + "/api/workers?refresh=1")[1]])
    assert inspected
    assert "foreign.md" in together
    for hidden in (SECRET, PASSWORD):
        assert hidden not in together
        assert hidden not in desk.text("flower") + desk.text("worker")


def test_its_memory_outlives_a_restart(desk: Desk, flower: str) -> None:
    known = set(tasks(flower))
    assert known
    port = int(flower.rpartition(":")[2])
    desk.stop("flower", signal.SIGTERM)
    assert (desk.folder / "home").exists()
    again = start_flower(desk, "flower", port)
    assert again == flower
    assert known <= set(tasks(flower))


chromium = shutil.which("chromium") or os.environ.get("CHROMIUM", "")


@pytest.mark.skipif(not chromium, reason="the browser test needs Debian's package chromium (apt-get install chromium)")
def test_the_pages_as_an_operator_sees_them(desk: Desk, flower: str) -> None:
    from playwright.sync_api import Error, expect, sync_playwright

    desk.submit("operator.md", [f"page {number}" for number in range(60)])
    desk.python(
        "from smart_rag_tasks import app\n"
        "result = app.send_task('smart_rag_tasks.process_document_pipeline', ['bad.md', [{'text': 5}]])\n"
        "result.get(timeout=30, propagate=False)\n"
    )
    user, _, password = USER.partition(":")
    images = IMAGES or desk.folder
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        try:
            with pytest.raises(Error, match="INVALID_AUTH_CREDENTIALS"):
                browser.new_page().goto(flower)
            size: Any = {"width": 1440, "height": 760}
            page = browser.new_page(http_credentials={"username": user, "password": password}, viewport=size)
            page.goto(flower)
            expect(page.locator("#workers-table")).to_contain_text("worker@")
            expect(page.locator("#workers-table")).to_contain_text("Online")
            page.screenshot(path=images / "flower-workers.png")
            page.goto(flower + "/tasks")
            table = page.locator("#tasks-table")
            expect(table).to_contain_text("operator.md")
            expect(table).to_contain_text("completed: 60 chunks")
            page.screenshot(path=images / "flower-tasks.png")
            page.locator("[data-task-state=FAILURE]").click()
            expect(table).to_contain_text("bad.md")
            expect(table).not_to_contain_text("operator.md")
            page.locator("#tasks-table tbody a[href^='/task/']").first.click()
            expect(page.locator("#task-page")).to_contain_text("InvalidChunks")
            page.screenshot(path=images / "flower-failed-task.png")
            assert SECRET not in page.content()
        finally:
            browser.close()
