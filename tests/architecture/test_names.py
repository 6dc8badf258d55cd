"""Names, queues and settings hang together: each is in one place, and what refers to it does not lag behind."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from celery.app.defaults import NAMESPACES, flatten
from kombu import Queue

from smart_rag_tasks import app, names
from smart_rag_tasks.settings import RENAMED, Settings

ROOT = Path(__file__).parent.parent.parent

#: Read by Celery's Redis backend and by RedBeat, but in no list of defaults.
BEYOND_CELERYS_LIST = {"redis_backend_health_check_interval", "smart_rag_schedule_lock"}


def our_tasks() -> set[str]:
    app.loader.import_default_modules()
    return {name for name in app.tasks if name.startswith("smart_rag_tasks.")}


def test_every_task_has_a_queue_and_every_name_a_task() -> None:
    assert set(names.TASK_QUEUES) == our_tasks()


def test_every_route_leads_to_a_queue_that_exists() -> None:
    assert set(names.TASK_QUEUES.values()) <= set(names.QUEUES)
    assert list(names.QUEUES) == [queue.name for queue in app.conf.task_queues]
    assert all(isinstance(queue, Queue) for queue in app.conf.task_queues)


@pytest.mark.parametrize("task", [*names.TASK_QUEUES, *names.ALIASES])
def test_celery_routes_a_task_as_names_says(task: str) -> None:
    route = app.amqp.router.route({}, task)
    assert names.queue_of(task) == route["queue"].name
    assert names.PRIORITY_QUEUE == names.queue_of(task, "interactive")


def test_the_requirements_documents_names_are_answered() -> None:
    asked = {"process_document_pipeline", "preprocess_document", "generate_batch_metadata", "postprocess_results"}
    asked |= {"generate_metadata_for_chunk", "batch_metadata_generation"}
    assert asked <= set(names.ALIASES)
    assert set(names.ALIASES.values()) <= our_tasks()


def configured() -> set[str]:
    tree = ast.parse((ROOT / "celeryconfig.py").read_text(encoding="utf-8"))
    targets = [target for node in ast.walk(tree) if isinstance(node, ast.Assign) for target in node.targets]
    targets += [node.target for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)]
    return {target.id for target in targets if isinstance(target, ast.Name) and not target.id.startswith("_")}


def test_every_celery_setting_exists_in_celerys_own_list() -> None:
    known = {name for name, _ in flatten(NAMESPACES)}
    unknown = {name for name in configured() - known if not name.startswith("redbeat_")}
    assert unknown <= BEYOND_CELERYS_LIST


def test_the_settings_reference_and_env_example_are_what_the_code_says() -> None:
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    listed = set(re.findall(r"^#([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))
    composed = re.findall(r"\$\{(\w+):[?-]", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert {str(field.alias) for field in Settings.model_fields.values()} | set(composed) == listed
    assert not set(RENAMED) & listed
