"""Jobs are rung for by name; a name that does not resolve would fail only in production."""

import re
from importlib import import_module
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "webapp"
NAMES = sorted(
    {
        name
        for source in SOURCES.rglob("*.py")
        for name in re.findall(r"[\"'](jobs(?:\.\w+){2})[\"']", source.read_text())
    }
)


def test_the_code_rings_for_jobs() -> None:
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_job_exists(name: str) -> None:
    module, _, function = name.rpartition(".")
    assert callable(getattr(import_module(module), function))
