"""Changing what others change too: nobody overwrites what they have not seen."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar

from webapp.errors import DomainError


class EditConflictError(DomainError):
    """Somebody else changed the row since its editor saw it; nothing was written.

    Where the editor can start over from there, ``theirs`` is how its fields stand now, and ``version`` what says so.
    """

    def __init__(self, message: str, *, theirs: Any = None, version: Any = None) -> None:
        super().__init__(message)
        self.theirs = theirs
        self.version = version


@dataclass(frozen=True)
class EditableFields:
    """The fields of a row that people change; a subclass has one attribute each."""

    def differing(self, other: Self) -> list[str]:
        """The names of the fields that ``other`` has differently."""
        return [
            attribute.name
            for attribute in fields(self)
            if getattr(self, attribute.name) != getattr(other, attribute.name)
        ]


Fields = TypeVar("Fields", bound=EditableFields)


@dataclass(frozen=True)
class Difference:
    """A field that somebody else changed: what it was, theirs, and what you wrote (``mine``)."""

    field: str
    base: Any
    theirs: Any
    mine: Any

    @property
    def is_contested(self) -> bool:
        """Whether both changed it, and differently."""
        return bool(self.mine not in (self.base, self.theirs))


def merge(base: Fields, mine: Fields, theirs: Fields) -> tuple[Fields, list[Difference]]:
    """What I changed of ``base`` on top of ``theirs``, and what they changed since, for me to see before I save."""
    my_changes = {name: getattr(mine, name) for name in base.differing(mine)}
    differences = [
        Difference(name, getattr(base, name), getattr(theirs, name), getattr(mine, name))
        for name in base.differing(theirs)
    ]
    return replace(theirs, **my_changes), differences
