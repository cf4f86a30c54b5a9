"""Homes for servers of their own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def _temporary_home() -> Iterator[Path]:
    """Not below pytest's own folder, which pytest closes to the account that PostgreSQL runs as."""
    folder = Path(tempfile.mkdtemp(prefix="crm-home-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home() -> Iterator[Path]:
    """A home for one test."""
    with _temporary_home() as home:
        yield home


@pytest.fixture(scope="module")
def shared_home() -> Iterator[Path]:
    """A home for the tests of a module, one after the other."""
    with _temporary_home() as home:
        yield home
