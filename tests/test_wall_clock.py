"""The application's time is ``webapp.clock``'s: nobody else looks at the wall, nor lets PostgreSQL do so."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WALL = re.compile(
    r"datetime\.(?:now|utcnow|today)\(|date\.today\(|\btime\.time\(|func\.(?:now|current_\w+)\(|(?<![.\w])now\(\)|CURRENT_(?:DATE|TIME)"
)
ALLOWED = {
    "webapp/clock.py": "it is the clock",
    "webapp/gateways/streaming.py": "Retry-After follows the wall clock",
    "webapp/views/errors.py": "rates are counted by the wall clock",
    "webapp/gateways/identity.py": "tokens live by the identity provider's clock",
}
SOURCES = sorted(path for folder in ("webapp", "jobs") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_looks_at_the_wall_clock(path: Path) -> None:
    if str(path.relative_to(ROOT)) not in ALLOWED:
        assert WALL.findall(path.read_text(encoding="utf-8")) == []


def test_those_who_may_do() -> None:
    for name in ALLOWED:
        assert WALL.search((ROOT / name).read_text(encoding="utf-8")), name
