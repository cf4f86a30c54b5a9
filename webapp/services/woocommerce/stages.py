"""What a pull asks a shop for, and in which order: pure.

A list is walked by a key, not by the number of a page, where the shop can: what changes while it is read moves to its
end, and would move others across the border of two pages. ``modified_after`` is strict and dates are whole seconds, so
that the last second is read again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from webapp.models.woocommerce import PullScope, ResourceKind

SECOND = timedelta(seconds=1)
OVERLAP = timedelta(minutes=10)
"""What a pull reads again: a resource is visible to others a moment after the date that it carries."""
LIVING = ("active", "on-hold", "pending", "pending-cancel")
COLLECTIONS = {
    ResourceKind.CUSTOMER: "customers",
    ResourceKind.ORDER: "orders",
    ResourceKind.SUBSCRIPTION: "subscriptions",
    ResourceKind.PRODUCT: "products",
}


class How(StrEnum):
    """How a list is walked.

    CHANGED by date of change, CREATED by date of creation, LIVING by status, page after page. WALK: every user, by id.
    KNOWN: what we keep and the shop has not shown in this pull, by our ids.
    """

    CHANGED = "changed"
    CREATED = "created"
    LIVING = "living"
    WALK = "walk"
    KNOWN = "known"


BY_DATE = (How.CHANGED, How.CREATED)


@dataclass(frozen=True)
class Stage:
    """One list. ``status`` of LIVING ones."""

    kind: ResourceKind
    how: How
    status: str = ""

    @property
    def name(self) -> str:
        """By which a cursor tells it."""
        return ":".join(filter(None, (self.kind.value, self.how.value, self.status)))

    @property
    def label(self) -> str:
        """What a page says of it while it is read."""
        if self.how is How.KNOWN:
            return f"Vérification des {_PLURALS[self.kind]}"
        return _PLURALS[self.kind].capitalize()

    @property
    def collection(self) -> str:
        """The list's name in the shop's addresses."""
        return COLLECTIONS[self.kind]


_PLURALS = {
    ResourceKind.CUSTOMER: "clients",
    ResourceKind.ORDER: "commandes",
    ResourceKind.SUBSCRIPTION: "abonnements",
    ResourceKind.PRODUCT: "produits",
}


@dataclass(frozen=True)
class Abilities:
    """What « Tester » found: whether there are subscriptions, and whether they can be asked for by date of change."""

    has_subscriptions: bool = True
    honours_modified_after: bool = False


def plan(scope: PullScope, abilities: Abilities) -> list[Stage]:
    """The lists to read, in order: subscriptions before the orders that renew them."""
    orders, subscriptions, customers = ResourceKind.ORDER, ResourceKind.SUBSCRIPTION, ResourceKind.CUSTOMER
    living = [Stage(subscriptions, How.LIVING, status) for status in LIVING]
    if abilities.honours_modified_after:
        news = [Stage(subscriptions, How.CHANGED), *(living if scope is PullScope.FIRST else [])]
    else:
        news = [*living, Stage(subscriptions, How.CREATED)]  # one may have ended on the day it was made
    stages = [*news, Stage(orders, How.CREATED if scope is PullScope.FIRST else How.CHANGED)]
    if scope is PullScope.NIGHTLY:
        stages += [Stage(customers, How.WALK)]
        stages += [Stage(kind, How.KNOWN) for kind in (subscriptions, orders, customers)]
    if not abilities.has_subscriptions:
        stages = [stage for stage in stages if stage.kind is not subscriptions]
    return stages


@dataclass(frozen=True)
class Cursor:
    """How far a stage has come: everything up to ``after`` (an instant, or an id) is read, and ``page`` − 1 pages more.

    ``seen`` is the latest date of change that the shop showed: where the next pull begins.
    """

    stage: str = ""
    after: datetime | None = None
    after_id: int = 0
    page: int = 1
    seen: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """As it stands in the pull's row."""
        return {
            "stage": self.stage,
            "after": self.after.isoformat() if self.after else None,
            "after_id": self.after_id,
            "page": self.page,
            "seen": self.seen.isoformat() if self.seen else None,
        }

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Cursor":
        """What ``as_json`` wrote."""
        if not kept:
            return cls()
        return cls(
            stage=kept["stage"],
            after=_instant(kept["after"]),
            after_id=kept["after_id"],
            page=kept["page"],
            seen=_instant(kept["seen"]),
        )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def query(stage: Stage, cursor: Cursor) -> dict[str, str | int]:
    """The parameters of the next page."""
    asked: dict[str, str | int] = {"order": "asc", "page": cursor.page}
    if stage.how is How.CHANGED:
        asked |= {"orderby": "modified", "status": "any", "dates_are_gmt": "true"}
        asked |= {"modified_after": _gmt(cursor.after)} if cursor.after else {}
    elif stage.how is How.CREATED:
        asked |= {"orderby": "date", "status": "any", "dates_are_gmt": "true"}
        asked |= {"after": _gmt(cursor.after)} if cursor.after else {}
    elif stage.how is How.LIVING:
        asked |= {"orderby": "id", "status": stage.status}
    elif stage.how is How.WALK:
        asked |= {"orderby": "id", "role": "all"}
    return asked


def query_ids(kind: ResourceKind, ids: Sequence[int]) -> dict[str, str | int]:
    """The parameters by which these very resources are asked for: a hundred at most."""
    everything = {"role": "all"} if kind is ResourceKind.CUSTOMER else {"status": "any"}
    return {"include": ",".join(map(str, ids)), **everything}


def _gmt(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"


def further(cursor: Cursor, dates: Sequence[datetime]) -> Cursor:
    """The cursor behind a page of a list by date, whose resources have these ``dates`` in this order.

    Where the shop did not sort by them, or a page holds one second only, the next page is asked for by its number.
    """
    newest = replace(cursor, page=cursor.page + 1)
    if not dates or list(dates) != sorted(dates):
        return newest
    after = dates[-1] - SECOND
    if cursor.after is not None and after <= cursor.after:
        return newest
    return replace(cursor, after=after, page=1)
