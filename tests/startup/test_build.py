"""The front-end build: everything that a page asks for is there, and nothing is built twice."""

import re
from pathlib import Path

import pytest

from demo.build import ICON_NAMES, BuildError, build, icon_sprite


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vendor = tmp_path_factory.mktemp("static") / "vendor"
    assert build(vendor)
    return vendor


def test_nothing_is_built_twice(vendor: Path) -> None:
    assert not build(vendor)


def test_a_new_icon_is_built(tmp_path: Path) -> None:
    names = tmp_path / "icons.txt"
    names.write_text("refresh\n")
    assert build(tmp_path / "vendor", names)
    names.write_text("refresh\nplus  # to create\n")
    assert build(tmp_path / "vendor", names)
    assert 'id="plus"' in (tmp_path / "vendor" / "icons.svg").read_text()


def test_an_unknown_icon_is_named() -> None:
    with pytest.raises(BuildError, match="no-such-icon"):
        icon_sprite(["refresh", "no-such-icon"])


def test_an_icon_takes_the_colour_of_its_text_and_has_no_frame() -> None:
    sprite = icon_sprite(["refresh"])
    assert '<symbol id="refresh" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"' in sprite
    assert 'stroke="none"' not in sprite


def test_every_listed_icon_exists() -> None:
    names = [line.partition("#")[0].strip() for line in ICON_NAMES.read_text().splitlines()]
    icon_sprite([name for name in names if name])


def test_no_file_asks_for_one_that_is_not_there(vendor: Path) -> None:
    for path in [*vendor.glob("*.css"), *vendor.glob("*.js")]:
        text = path.read_text(encoding="utf-8")
        assert "sourceMappingURL=" not in text[-300:], path.name
        if path.suffix == ".css":
            for address in re.findall(r"url\(([^)]+)\)", text):
                assert address.strip("\"'").startswith(("data:", "#")) or (vendor / address).is_file(), address


def test_only_tests_get_axe(vendor: Path, tmp_path: Path) -> None:
    assert (vendor / "axe.min.js").is_file()
    build(tmp_path / "vendor", production=True)
    assert not (tmp_path / "vendor" / "axe.min.js").exists()
