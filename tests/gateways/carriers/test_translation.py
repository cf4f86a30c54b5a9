"""What importing karrio leaves behind: nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from webapp.gateways.carriers import translation

ROOT = Path(__file__).parents[3]
IMPORT = """
import ssl, sys, PIL.ImageFile
from webapp.gateways.carriers import registry, translation
assert "karrio" not in sys.modules, "karrio is imported before a label is made"
context, truncated = ssl._create_default_https_context, PIL.ImageFile.LOAD_TRUNCATED_IMAGES
translation.library()
assert "karrio" in sys.modules
assert ssl._create_default_https_context is context, "certificates are checked no more"
assert ssl._create_default_https_context().verify_mode is ssl.CERT_REQUIRED
assert PIL.ImageFile.LOAD_TRUNCATED_IMAGES is truncated
assert translation.library() is translation.library()
"""
QUIET = """
from webapp.gateways.carriers import translation
translation.library()
from karrio.core.utils import logger
logger.error("Élodie DUPONT, 12 rue Haute")
"""
WEB = """
import sys
from datetime import timedelta
import webapp.views
from webapp.gateways.carriers import registry
from webapp.models.carriers import Carrier
from webapp.config import Settings
for kind, keys in ((Carrier.COLISSIMO, {"contract_number": "1", "password": "x"}),
                   (Carrier.CHRONOPOST, {"account_number": "1", "password": "x"})):
    registry._colissimo_url = registry._chronopost_url = "http://127.0.0.1:9"
    assert registry.carrier_for(kind, keys, service="1", longest_delay=timedelta()).fault()
assert "karrio" not in sys.modules, "checking an account imports karrio into the web server"
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_certificates_are_checked_after_the_import_as_before() -> None:
    assert run(IMPORT) == ""


def test_it_writes_nothing_about_anybody_to_the_log() -> None:
    assert "DUPONT" not in run(QUIET)


def test_what_it_cannot_write_is_told_as_that() -> None:
    with pytest.raises(translation.UntranslatableError, match="ZeroDivisionError"):
        translation.written(lambda: 1 / 0)


def test_checking_an_account_does_not_import_it() -> None:
    run(WEB)
