"""Builds static/built from the npm packages and static/css: what the browser loads. Needs no package but Node.js.

The style sheets become one file, so that a page asks once. A folder of static/css is a cascade layer: what stands in a
later one wins, however its selector is written. Of Tabler only the rules that can match are kept. It does nothing
when nothing changed; `--production` leaves out what only the tests load.
"""

import gzip
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

try:
    from demo.node import NODE
except ModuleNotFoundError:  # a production image or host is built with Node.js of the system
    NODE = None  # type: ignore[assignment]

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "node_modules"
STATIC = ROOT / "static"
ICON_NAMES = STATIC / "icons.txt"
STYLE_SHEETS = STATIC / "css"
BUILT = STATIC / "built"

LAYERS = ["tabler", "base", "components", "pages", "utilities"]  # a later one wins
TRIM = Path(__file__).with_name("trim_tabler.js")
SCRIPTS = ["htmx.org/dist/htmx.min.js", "chart.js/dist/chart.umd.min.js"]
FOR_TESTS_ONLY = ["axe-core/axe.min.js"]
FONT = "@fontsource-variable/inter"
FONT_SUBSETS = ["latin-ext", "latin"]  # French and its neighbours
SVG = "http://www.w3.org/2000/svg"


class BuildError(Exception):
    """The front end cannot be built; the message says what to mend."""


def build(
    built: Path = BUILT,
    icon_names: Path = ICON_NAMES,
    style_sheets: Path = STYLE_SHEETS,
    *,
    production: bool = False,
) -> bool:
    """Build `built` unless it is up to date; tell whether anything was built."""
    stamp = built / ".stamp"
    wanted = _fingerprint(icon_names, style_sheets, production)
    if stamp.is_file() and stamp.read_text() == wanted:
        return False
    fresh = built.with_name(built.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for source in SCRIPTS + ([] if production else FOR_TESTS_ONLY):
        _copy_without_source_map(source, fresh)
    (fresh / "app.css").write_text(_copy_font(fresh) + _layers(style_sheets), encoding="utf-8")
    (fresh / "icons.svg").write_text(icon_sprite(_read_names(icon_names)), encoding="utf-8")
    _compress(fresh)
    (fresh / ".stamp").write_text(wanted)
    shutil.rmtree(built, ignore_errors=True)
    fresh.rename(built)
    return True


def _fingerprint(icon_names: Path, style_sheets: Path, production: bool) -> str:
    digest = hashlib.sha256(repr(production).encode())
    sources = [ROOT / "package-lock.json", Path(__file__), TRIM, icon_names]
    for path in [*sources, *sorted(style_sheets.rglob("*.css")), *_where_classes_stand()]:
        digest.update(str(path).encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _where_classes_stand() -> list[Path]:
    """The files whose words decide which of Tabler's rules are kept."""
    application = ROOT / "webapp"
    return sorted(
        [*(application / "templates").rglob("*.html"), *(application / "views").rglob("*.py"), *STATIC.glob("*.js")]
    )


def _layers(style_sheets: Path) -> str:
    """Tabler and our style sheets, each in its layer."""
    sheets = {layer: sorted((style_sheets / layer).glob("*.css")) for layer in LAYERS}
    if astray := set(style_sheets.rglob("*.css")) - {sheet for each in sheets.values() for sheet in each}:
        raise BuildError(f"{min(astray)} stands in no layer: static/css has the folders {', '.join(LAYERS[1:])}")
    texts = {layer: "".join(sheet.read_text(encoding="utf-8") for sheet in sheets[layer]) for layer in LAYERS}
    texts["tabler"] = _trimmed_tabler([*_where_classes_stand(), *style_sheets.rglob("*.css")])
    return f"@layer {', '.join(LAYERS)};\n" + "".join(f"@layer {name} {{\n{text}}}\n" for name, text in texts.items())


def _trimmed_tabler(users: Sequence[Path]) -> str:
    """Tabler's style sheet, less what none of the `users` can mean."""
    command = [_node(), str(TRIM), *map(str, users)]
    trimming = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if trimming.returncode != 0:
        raise BuildError(f"Tabler's style sheet cannot be trimmed: {trimming.stderr.strip()}")
    return trimming.stdout


def _node() -> str:
    found = NODE or shutil.which("node")
    if found is None:
        raise BuildError("Node.js is needed, and none was found")
    return str(found)


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


def _copy_font(target: Path) -> str:
    """Inter as one variable font, in the subsets that we need; the @font-face of each."""
    style_sheet = _package_file(f"{FONT}/wght.css").read_text(encoding="utf-8")
    faces = []
    for subset in FONT_SUBSETS:
        name = f"inter-{subset}-wght-normal"
        shutil.copyfile(_package_file(f"{FONT}/files/{name}.woff2"), target / f"{name}.woff2")
        face = re.search(rf"/\* {name} \*/\s*(@font-face {{.*?}})", style_sheet, re.DOTALL)
        if face is None:
            raise BuildError(f"{FONT}/wght.css no longer has a face {name}")
        faces.append(face[1].replace("./files/", "./"))
    return "\n".join(faces) + "\n"


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
            print("Front end: built static/built", file=sys.stderr)
    except BuildError as error:
        print(f"Front end: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
