"""Lock files pin everything by hash and name no index: whoever installs brings their own."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_python_packages_are_pinned_by_hash_and_name_no_index(name: str) -> None:
    lock = (ROOT / name).read_text()
    assert not re.search(r"https?://|--index-url|--find-links", lock)
    for requirement in re.split(r"\n(?=[a-z])", lock.partition("\n")[2].strip()):
        assert requirement.startswith("#") or ("==" in requirement and "--hash=sha256:" in requirement)


def test_front_end_packages_are_pinned_by_hash_and_name_no_registry() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for name, package in packages.items():
        if name:
            assert "integrity" in package, name
            assert "resolved" not in package, name
