"""``python -m bench NAME [--size N] [--json]``: runs bench/NAME.py, which has ``run(size) -> Report``.

Needs servers: DATABASE_ADMIN_URL, DATABASE_URL, DATABASE_OWNER_URL and REDIS_URL, as ``bin/bench`` sets them.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from bench.report import Report


def main(arguments: list[str]) -> int:
    """Run one benchmark and print its report."""
    benchmarks = find_benchmarks()
    parser = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    parser.add_argument("name", choices=benchmarks)
    parser.add_argument("--size", type=int, help="how many rows; each benchmark has its own default")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, and so stops the servers it started
    run: Callable[..., Report] = import_module(f"bench.{given.name}").run
    report = run(given.size) if given.size else run()
    print(report.as_json() if given.json else report.as_table())
    return 0


def find_benchmarks() -> list[str]:
    """The modules of this package that can ``run``, told by their text: a floor is an application, made on import."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if "\ndef run(" in path.read_text())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
