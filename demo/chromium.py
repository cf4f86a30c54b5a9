"""Finds, or installs, the Chromium that the browser tests drive, and prints its path.

An empty line means Playwright's own, which it finds by itself. Without any, this fails: a browser test that
cannot run is a failure, not a skip.
"""

import os
import shutil
import subprocess
import sys

SHELL = "chromium-headless-shell"
"""Chromium without a window, which is what Playwright's own is too: less than half the work per page."""
NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]


def main() -> int:
    path = find(os.environ.get("CRM_CHROMIUM", ""), SHELL) or (install_by_apt() and find(SHELL)) or find(*NAMES)
    if path:
        print(path)
        return 0
    if install_by_playwright():
        print()
        return 0
    _say(
        "The browser tests need Chromium: none was found, and it could not be installed.\n"
        f"Install one (Debian: apt-get install {SHELL}), or set CRM_CHROMIUM to the path of one."
    )
    return 1


def find(*names: str) -> str | None:
    """The first of these that is on the machine and starts (Ubuntu's `chromium-browser` may be an empty stub)."""
    for name in names:
        path = shutil.which(name) if name else None
        if path and _succeeds([path, "--version"]):
            return path
    return None


def install_by_apt() -> bool:
    """Install Debian's package; tell whether that worked. Only root can."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    _say("Chromium: installing Debian's package for the browser tests")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300"]  # another installation may be under way
    install = [*apt, "install", "-y", "-qq", "--no-install-recommends", SHELL]
    return _succeeds([*apt, "update", "-qq"], environment) and _succeeds(install, environment)


def install_by_playwright() -> bool:
    """Let Playwright download its own; a quick check when it has done so before."""
    _say("Chromium: asking Playwright for its own")
    system_libraries = ["--with-deps"] if os.geteuid() == 0 else []
    return _succeeds([sys.executable, "-m", "playwright", "install", "--only-shell", *system_libraries, "chromium"])


def _succeeds(command: list[str], environment: dict[str, str] | None = None) -> bool:
    """Run a command, show what it printed only if it failed."""
    run = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if run.returncode != 0:
        _say(run.stdout.strip())
    return run.returncode == 0


def _say(message: str) -> None:
    print(message, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
