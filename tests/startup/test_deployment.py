"""What is deployed fits the code: every queue has its worker, every variable is one, every file is there."""

import ast
import re
import shlex
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from webapp.config import ALIASES, Settings
from webapp.queue import QUEUES

ROOT = Path(__file__).resolve().parents[2]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
README = (ROOT / "README.md").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "crm"}
VARIABLES = {field.upper() for field in Settings.model_fields} | {name for names in ALIASES.values() for name in names}
# Read by the shell, Python, fontconfig, gunicorn's configuration and the pretend world.
NOT_OURS = {
    "PATH",
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
    "XDG_CACHE_HOME",
    "WEB_CONCURRENCY",
    "DEMO_PROSPECTS",
}


def _copied() -> list[str]:
    """What the Dockerfile takes out of the clone."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    return [name for line in lines for name in line.split()]


def _is_ignored(name: str) -> bool:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    return any(name == pattern or name.startswith(pattern + "/") for pattern in patterns)


def _imported(folder: Path) -> set[str]:
    """The top-level modules that the code in ``folder`` imports."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names


def test_every_queue_has_one_worker_of_its_own() -> None:
    commands = [service["command"] for service in OURS.values() if "jobs.worker" in service.get("command", [])]
    assert sorted(command[-1] for command in commands) == sorted(QUEUES)
    procfile = re.findall(
        r"^worker-(\S+): python -m jobs\.worker (\S+)$", (ROOT / "Procfile").read_text(), re.MULTILINE
    )
    assert sorted(procfile) == sorted((name, name) for name in QUEUES)


@pytest.mark.parametrize("name", ["deploy/systemd/crm-worker@.service", "docs/production.md"])
def test_every_worker_is_enabled(name: str) -> None:
    (queues,) = re.findall(r"systemctl enable .*crm-worker@\{(.+?)\}", (ROOT / name).read_text())
    assert sorted(queues.split(",")) == sorted(QUEUES)


def test_containers_are_given_variables_that_exist_and_all_that_production_asks_for() -> None:
    for service in OURS.values():
        assert service["environment"].keys() <= VARIABLES
    required = {name.upper() for name, field in Settings.model_fields.items() if field.is_required()}
    assert required <= OURS["web"]["environment"].keys()
    assert "DATABASE_OWNER_URL" not in OURS["web"]["environment"]


def test_what_compose_asks_for_is_what_its_head_says() -> None:
    text = (ROOT / "compose.yaml").read_text()
    head, _, rest = text.partition("x-crm:")
    assert set(re.findall(r"\$\{(\w+):", rest)) == set(re.findall(r"\b[A-Z_]{9,}\b", head))


def test_the_image_and_the_units_set_variables_that_exist() -> None:
    given = {
        pair.partition("=")[0] for line in re.findall(r"^ENV (.+)$", DOCKERFILE, re.MULTILINE) for pair in line.split()
    }
    for unit in UNITS:
        for line in re.findall(r"^Environment=(.+)$", unit.read_text(), re.MULTILINE):
            given |= {pair.partition("=")[0] for pair in line.split()}
    assert {"CRM_ENV", "DOCUMENTS_DIR"} <= given <= VARIABLES | NOT_OURS


def test_every_variable_is_explained_and_no_other() -> None:
    table = README.partition("## Configuration")[2].partition("\n## ")[0]
    explained = {name for row in re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE) for name in re.findall(r"\w+", row)}
    assert explained - NOT_OURS == {field.upper() for field in Settings.model_fields}


def test_documents_are_kept_where_they_outlive_the_process() -> None:
    (folder,) = re.findall(r"DOCUMENTS_DIR=(\S+)", DOCKERFILE)
    for service in OURS.values():  # workers read what somebody imports, and write what is exported
        assert service["read_only"]
        assert service["volumes"] == [f"documents:{folder}"]
    for path in UNITS:
        unit = path.read_text()
        (state,) = re.findall(r"^StateDirectory=(\S+)$", unit, re.MULTILINE)
        assert f"DOCUMENTS_DIR=/var/lib/{state}/documents" in unit, path.name


def test_what_the_image_is_built_from_is_there_and_reaches_the_engine() -> None:
    assert _copied()
    for name in _copied():
        assert (ROOT / name).exists(), name
        assert not _is_ignored(name), name


def test_the_image_holds_what_is_run_and_nothing_that_only_tests_or_shows() -> None:
    final = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.rpartition("\nFROM ")[2], re.MULTILINE)
        for name in line.split()
    }
    assert final == {"webapp", "jobs", "migrations", "wsgi.py", "gunicorn.conf.py"}


def test_what_is_imported_in_production_is_locked() -> None:
    locked = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    sources = packages_distributions()
    imported = _imported(ROOT / "webapp") | _imported(ROOT / "jobs") | _imported(ROOT / "migrations") | {"gunicorn"}
    for module in imported - sys.stdlib_module_names - {"webapp", "jobs", "migrations"}:
        names = {re.sub(r"[-_.]+", "-", name).lower() for name in sources[module]}
        assert names & locked, module


def test_units_run_what_the_procfile_runs() -> None:
    procfile = {line.partition(": ")[2] for line in (ROOT / "Procfile").read_text().splitlines()}
    started = set()
    for unit in UNITS:
        (command,) = re.findall(r"^ExecStart=/opt/crm/\.venv/bin/(.+)$", unit.read_text(), re.MULTILINE)
        started |= {command.replace("%i", name) for name in (QUEUES if "@" in unit.name else [""])}
    assert started == procfile
    (web,) = re.findall(r"^CMD \[(.+)\]$", DOCKERFILE, re.MULTILINE)
    assert shlex.split(web.replace(",", " ")) == shlex.split("gunicorn --config gunicorn.conf.py wsgi:app")
    assert {" ".join(service.get("command", [])) for service in OURS.values()} - {""} <= procfile | {
        "flask --app wsgi db upgrade"
    }


def test_the_versions_of_python_agree() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    (used,) = set(re.findall(r"^FROM python:(\d+\.\d+)", DOCKERFILE, re.MULTILINE))
    assert asked == f">={used}"
