"""Builds static/vendor from the npm packages: what the browser loads that others wrote. Standard library only.

Nothing is bundled: the files are few and stable, and HTTP/2 or a warm cache serves them well. It does nothing when
nothing changed; `--production` leaves out what only the tests load.
"""

import gzip
import hashlib
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "node_modules"
ICON_NAMES = ROOT / "static" / "icons.txt"
VENDOR = ROOT / "static" / "vendor"

SCRIPTS_AND_STYLES = [
    "htmx.org/dist/htmx.min.js",
    "@tabler/core/dist/css/tabler.min.css",
    "@tabler/core/dist/js/tabler.min.js",
    "chart.js/dist/chart.umd.min.js",
]
FOR_TESTS_ONLY = ["axe-core/axe.min.js"]
FONT = "@fontsource-variable/inter"
FONT_SUBSETS = ["latin-ext", "latin"]  # French and its neighbours
SVG = "http://www.w3.org/2000/svg"


class BuildError(Exception):
    """The front end cannot be built; the message says what to mend."""


def build(vendor: Path = VENDOR, icon_names: Path = ICON_NAMES, *, production: bool = False) -> bool:
    """Build `vendor` unless it is up to date; tell whether anything was built."""
    stamp = vendor / ".stamp"
    wanted = _fingerprint(icon_names, production)
    if stamp.is_file() and stamp.read_text() == wanted:
        return False
    fresh = vendor.with_name(vendor.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for source in SCRIPTS_AND_STYLES + ([] if production else FOR_TESTS_ONLY):
        _copy_without_source_map(source, fresh)
    _copy_font(fresh)
    (fresh / "icons.svg").write_text(icon_sprite(_read_names(icon_names)), encoding="utf-8")
    _compress(fresh)
    (fresh / ".stamp").write_text(wanted)
    shutil.rmtree(vendor, ignore_errors=True)
    fresh.rename(vendor)
    return True


def _fingerprint(icon_names: Path, production: bool) -> str:
    digest = hashlib.sha256(repr(production).encode())
    for path in (ROOT / "package-lock.json", Path(__file__), icon_names):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _package_file(name: str) -> Path:
    path = PACKAGES / name
    if not path.is_file():
        raise BuildError(f"node_modules/{name} is missing: has the package changed its layout?")
    return path


def _copy_without_source_map(source: str, target: Path) -> None:
    """Copy, less the comment that would make the browser's tools ask for a map that is not served."""
    text = _package_file(source).read_text(encoding="utf-8")
    text = re.sub(r"\s*(//[#@] sourceMappingURL=\S+|/\*[#@] sourceMappingURL=\S+\s*\*/)\s*$", "\n", text)
    (target / Path(source).name).write_text(text, encoding="utf-8")


def _copy_font(target: Path) -> None:
    """Inter as one variable font, in the subsets that we need; the style sheet keeps their @font-face only."""
    style_sheet = _package_file(f"{FONT}/wght.css").read_text(encoding="utf-8")
    faces = []
    for subset in FONT_SUBSETS:
        name = f"inter-{subset}-wght-normal"
        shutil.copyfile(_package_file(f"{FONT}/files/{name}.woff2"), target / f"{name}.woff2")
        face = re.search(rf"/\* {name} \*/\s*(@font-face {{.*?}})", style_sheet, re.DOTALL)
        if face is None:
            raise BuildError(f"{FONT}/wght.css no longer has a face {name}")
        faces.append(face[1].replace("./files/", "./"))
    (target / "inter.css").write_text("\n".join(faces) + "\n", encoding="utf-8")


def _read_names(icon_names: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in icon_names.read_text(encoding="utf-8").splitlines())
    return sorted({line for line in lines if line})


def icon_sprite(names: list[str]) -> str:
    """One SVG document with a <symbol> per Tabler outline icon; `<use href="…/icons.svg#NAME">` shows it."""
    ElementTree.register_namespace("", SVG)
    sprite = ElementTree.Element(f"{{{SVG}}}svg")
    unknown = []
    for name in names:
        source = PACKAGES / "@tabler" / "icons" / "icons" / "outline" / f"{name}.svg"
        if source.is_file():
            sprite.append(_symbol(name, source))
        else:
            unknown.append(name)
    if unknown:
        raise BuildError(f"static/icons.txt names icons that Tabler's outline set has not: {', '.join(unknown)}")
    return ElementTree.tostring(sprite, encoding="unicode")


def _symbol(name: str, source: Path) -> ElementTree.Element:
    symbol = ElementTree.Element(
        f"{{{SVG}}}symbol",
        {
            "id": name,
            "viewBox": "0 0 24 24",
            "fill": "none",
            "stroke": "currentColor",
            "stroke-width": "2",
            "stroke-linecap": "round",
            "stroke-linejoin": "round",
        },
    )
    for shape in ElementTree.parse(source).getroot():  # noqa: S314  # pinned by hash
        if shape.get("stroke") != "none" or shape.get("fill") != "none":  # else the invisible frame
            shape.tail = None
            symbol.append(shape)
    return symbol


def _compress(folder: Path) -> None:
    """A .gz beside each text: WhiteNoise serves it as it is, so that no request spends time on compressing."""
    for path in sorted(folder.iterdir()):
        if path.suffix in {".js", ".css", ".svg"}:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def main() -> int:
    try:
        if build(production="--production" in sys.argv[1:]):
            print("Front end: built static/vendor", file=sys.stderr)
    except BuildError as error:
        print(f"Front end: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
