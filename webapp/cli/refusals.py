"""What a service refuses, as the command line says it."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from webapp.errors import DomainError


@contextmanager
def refusals() -> Iterator[None]:
    """A refusal becomes a sentence, with the option at fault before it, and exit code 1."""
    try:
        yield
    except DomainError as error:
        raise click.ClickException(f"{error.field}\u202f: {error.message}" if error.field else error.message) from None
