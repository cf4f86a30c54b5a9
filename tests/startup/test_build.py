"""The front-end build: everything that a page asks for is there, and nothing is built twice."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from demo.build import ICON_NAMES, PACKAGES, ROOT, STYLE_SHEETS, BuildError, build, icon_sprite
from demo.node import NODE

TEMPLATES = ROOT / "webapp" / "templates"


def _tablers_part(built: Path) -> str:
    return (built / "app.css").read_text().partition("@layer tabler {")[2].partition("@layer base {")[0]


def _classes_styled(style_sheet: str) -> set[str]:
    """The classes that stand in its selectors."""
    return set(re.findall(r"\.([A-Za-z_][\w-]*)", re.sub(r"/\*.*?\*/|\{[^{}]*\}", " ", style_sheet, flags=re.DOTALL)))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("static") / "built"
    assert build(built)
    return built


def test_nothing_is_built_twice(built: Path) -> None:
    assert not build(built)


def test_a_new_icon_is_built(tmp_path: Path) -> None:
    names = tmp_path / "icons.txt"
    names.write_text("refresh\n")
    assert build(tmp_path / "built", names)
    names.write_text("refresh\nplus  # to create\n")
    assert build(tmp_path / "built", names)
    assert 'id="plus"' in (tmp_path / "built" / "icons.svg").read_text()


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


def test_no_file_asks_for_one_that_is_not_there(built: Path) -> None:
    for path in [*built.glob("*.css"), *built.glob("*.js")]:
        text = path.read_text(encoding="utf-8")
        assert "sourceMappingURL=" not in text[-300:], path.name
        if path.suffix == ".css":
            for address in re.findall(r"url\(([^)]+)\)", text):
                assert address.strip("\"'").startswith(("data:", "#")) or (built / address).is_file(), address


def test_only_tests_get_axe(built: Path, tmp_path: Path) -> None:
    assert (built / "axe.min.js").is_file()
    build(tmp_path / "built", production=True)
    assert not (tmp_path / "built" / "axe.min.js").exists()


def test_a_page_asks_for_one_style_sheet(built: Path) -> None:
    assert [path.name for path in built.glob("*.css")] == ["app.css"]
    assets = (TEMPLATES / "layouts" / "_assets.html").read_text()
    assert assets.count('rel="stylesheet"') == 1


def test_our_layers_win_over_tabler_and_pages_over_components(built: Path) -> None:
    text = (built / "app.css").read_text()
    layers = ["tabler", "base", "components", "pages", "utilities"]
    assert re.findall(r"^@layer ([a-z, ]+);", text, re.MULTILINE) == [", ".join(layers)]
    assert re.findall(r"^@layer (\w+) \{", text, re.MULTILINE) == layers
    parts = dict(zip(layers, re.split(r"^@layer \w+ \{", text, flags=re.MULTILINE)[1:], strict=True))
    assert "Licensed under MIT" in parts["tabler"]
    for layer in layers[1:]:
        for sheet in (STYLE_SHEETS / layer).glob("*.css"):
            assert sheet.read_text() in parts[layer], sheet


def test_of_tabler_stays_what_templates_use_and_little_else(built: Path) -> None:
    whole = (PACKAGES / "@tabler/core/dist/css/tabler.min.css").read_text()
    kept = _tablers_part(built)
    assert len(kept) < len(whole) / 4
    used = {
        name
        for template in TEMPLATES.rglob("*.html")
        for value in re.findall(r'class="((?:\{[{%].*?[%}]\}|[^"])*)"', template.read_text())
        for name in re.findall(r"[\w-]+", value)
    }
    assert {"btn-primary", "card-body", "form-control"} <= used
    assert used & _classes_styled(whole) <= _classes_styled(kept)


def test_the_colour_of_every_status_is_there(built: Path) -> None:
    templates = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    colours = templates.get_template("macros/badges.html").module.status_colours.values()  # type: ignore[attr-defined]
    assert {f"status-{colour}" for colour in colours} <= _classes_styled(_tablers_part(built))


def test_a_changed_style_sheet_is_built_and_one_without_layer_refused(tmp_path: Path) -> None:
    sheets = tmp_path / "css"
    (sheets / "base").mkdir(parents=True)
    (sheets / "base" / "elements.css").write_text("h1 { margin: 0; }\n")
    assert build(tmp_path / "built", style_sheets=sheets)
    (sheets / "base" / "elements.css").write_text("h1 { margin: 1px; }\n")
    assert build(tmp_path / "built", style_sheets=sheets)
    assert "h1 { margin: 1px; }" in (tmp_path / "built" / "app.css").read_text()
    (sheets / "astray.css").write_text("h2 { margin: 0; }\n")
    with pytest.raises(BuildError, match=r"astray\.css"):
        build(tmp_path / "built", style_sheets=sheets)


def test_the_image_builds_the_same_style_sheet_from_what_it_copies(built: Path, tmp_path: Path) -> None:
    """Its Python has no package, and its Node.js is found on the path."""
    stage = (ROOT / "Dockerfile").read_text().partition(" AS front-end\n")[2].partition("\nFROM ")[0]
    for names, target in re.findall(r"^COPY (?!--from)(.+) (\S+)$", stage, re.MULTILINE):
        for name in names.split():
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, tmp_path / target, ignore=shutil.ignore_patterns("built", "__pycache__"))
            else:
                (tmp_path / target).mkdir(exist_ok=True)
                shutil.copy(ROOT / name, tmp_path / target)
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    command = [Path(sys.base_prefix) / "bin" / "python3", "-I", "-c"]
    program = (
        "import sys; sys.path.insert(0, '.'); sys.argv.append('--production'); from demo.build import main; main()"
    )
    subprocess.run([*command, program], cwd=tmp_path, env={"PATH": str(NODE.parent)}, check=True, timeout=60)
    assert (tmp_path / "static" / "built" / "app.css").read_bytes() == (built / "app.css").read_bytes()


def test_every_variable_that_ours_use_is_there(built: Path) -> None:
    text = (built / "app.css").read_text()
    ours = text.partition("@layer base {")[2]
    assert set(re.findall(r"var\((--[\w-]+)\)", ours)) <= set(re.findall(r"(--[\w-]+):", text))
