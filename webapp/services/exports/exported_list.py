"""What an export knows of a list: its words, its rows in its order, and the columns that it can have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

from pydantic import TypeAdapter
from sqlalchemy import Select

from webapp.french import plural
from webapp.services.list_columns import ListColumn

Rows = Select[*tuple[Any, ...]]


@dataclass(frozen=True)
class Everything:
    """The view of a list without filters."""


@dataclass(frozen=True)
class ExportedList:
    """A list. ``title`` names it, ``one`` and ``many`` its rows; ``view`` is the class of its views.

    ``select`` gives the rows of a view today, in its order, joined with what ``columns`` need. ``default`` are the keys
    of the columns that the page shows; all where there are none.
    """

    key: str
    title: str
    one: str
    many: str
    view: type
    select: Callable[[Any, date], Rows]
    columns: Callable[[date], Sequence[ListColumn]]
    default: Sequence[str] = ()

    @classmethod
    def of_any_day(
        cls,
        key: str,
        title: str,
        one: str,
        *,
        view: type,
        select: Callable[[Any], Rows],
        columns: Sequence[ListColumn],
        default: Sequence[str] = (),
        many: str = "",
    ) -> Self:
        """A list whose columns and rows do not depend on the day."""

        def select_any_day(seen: Any, _today: date) -> Rows:
            return select(seen)

        return cls(key, title, one, many or plural(2, one), view, select_any_day, lambda _: columns, default)

    def rows(self, number: int) -> str:
        """The word for so many rows."""
        return plural(number, self.one, self.many)

    def defaults(self, today: date) -> list[str]:
        """The keys of the columns that the page shows."""
        return list(self.default) or [column.key for column in self.columns(today)]

    def written(self, view: Any) -> str:
        """A view as JSON, for ``read``."""
        adapter: TypeAdapter[Any] = TypeAdapter(self.view)
        return adapter.dump_json(view).decode()

    def read(self, text: str) -> Any:
        """The view that was written. Raises ValueError for what an earlier version wrote and nobody can read now."""
        return TypeAdapter(self.view).validate_json(text)
