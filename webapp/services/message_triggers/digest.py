"""The week of a team, told to whoever leads it on Monday morning."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select

from webapp import clock, links, tenancy
from webapp.extensions import db
from webapp.models.base import linked
from webapp.models.clients import Client
from webapp.models.commercials import Commercial, TeamLeader
from webapp.models.identity import User
from webapp.models.messages import MessageKind
from webapp.models.organisations import Company
from webapp.models.payments import Payment
from webapp.models.subscriptions import Subscription, SubscriptionHistory, SubscriptionStatus
from webapp.services import each_organisation
from webapp.services.claims import listing as claims
from webapp.services.claims.listing import FollowUp
from webapp.services.dunning import figures as dunning_figures
from webapp.services.messages import writing
from webapp.services.messages.writing import Draft

AT = time(7)
CAUGHT_UP = timedelta(days=2)
"""After that a week is left untold: whoever was away that long has the pages."""
NOTHING = Decimal("0.00")
LOST = (SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED)


@dataclass(frozen=True)
class Week:
    """Monday to Sunday, in Paris."""

    monday: date

    @property
    def sunday(self) -> date:
        """Its last day."""
        return self.monday + timedelta(days=6)

    @property
    def name(self) -> str:
        """As ISO 8601 calls it: 2026-W48."""
        year, number, _ = self.monday.isocalendar()
        return f"{year}-W{number:02}"

    def holds(self, instant: Any) -> ColumnElement[bool]:
        """In a statement: whether it lies in the week."""
        begins, ends = clock.start_of(self.monday), clock.start_of(self.monday + timedelta(days=7))
        condition: ColumnElement[bool] = (instant >= begins) & (instant < ends)
        return condition


@dataclass(frozen=True)
class _Figures:
    """What a commercial did in a week."""

    clients: int = 0
    subscriptions: int = 0
    lost: int = 0
    collected: Decimal = NOTHING


def write_due(*, at: datetime) -> int:
    """Write last week to everybody who leads a team, once, from Monday at seven in Paris on; returns how many."""
    local = at.astimezone(clock.PARIS)
    monday = local.date() - timedelta(days=local.weekday())
    due = datetime.combine(monday, AT, clock.PARIS)
    if not due <= at < due + CAUGHT_UP:
        return 0
    week = Week(monday - timedelta(days=7))
    return each_organisation.work(lambda: _write(week, at=at), select(TeamLeader.organisation_id))


def _write(week: Week, *, at: datetime) -> int:
    teams = _load_teams()
    company = db.session.execute(
        select(Company.id, Company.currency).order_by(Company.is_default.desc(), Company.name).limit(1)
    ).first()
    if not teams or company is None:
        return 0
    figures = _load_figures(week, company.currency)
    drafts = [
        Draft(
            kind=MessageKind.WEEKLY_DIGEST,
            company_id=company.id,
            user_id=user_id,
            subject_id=user_id,
            occasion=week.name,
            variables=_variables(week, team, figures, at=at),
            is_asked_for=True,
        )
        for user_id, team in teams.items()
    ]
    return writing.write_many(drafts, at=at)


def _load_teams() -> dict[UUID, list[Commercial]]:
    """The commercials whom each user with an address leads, by name."""
    rows = db.session.execute(
        select(TeamLeader.user_id, Commercial)
        .join(User, linked(User, TeamLeader.user_id))
        .join(Commercial, (Commercial.team_id == TeamLeader.team_id))
        .where(User.email.is_not(None), Commercial.organisation_id == TeamLeader.organisation_id)
        .order_by(Commercial.name_key, Commercial.id)
    )
    teams: dict[UUID, dict[UUID, Commercial]] = {}
    for user_id, commercial in rows:
        teams.setdefault(user_id, {})[commercial.id] = commercial
    return {user_id: list(members.values()) for user_id, members in teams.items()}


def _load_figures(week: Week, currency: str) -> dict[UUID, _Figures]:
    """By commercial, whatever their team; four statements."""
    ours = tenancy.current_organisation_id()
    began = _changes(week, ours).where(
        SubscriptionHistory.old_status == SubscriptionStatus.PENDING,
        SubscriptionHistory.new_status == SubscriptionStatus.ACTIVE,
    )
    ended = _changes(week, ours).where(
        SubscriptionHistory.old_status != SubscriptionStatus.PENDING, SubscriptionHistory.new_status.in_(LOST)
    )
    clients = (
        select(Client.commercial_id, func.count())
        .where(Client.organisation_id == ours, Client.commercial_id.is_not(None), week.holds(Client.created_at))
        .group_by(Client.commercial_id)
    )
    collected = (
        select(Client.commercial_id, func.sum(Payment.amount))
        .select_from(Payment)
        .join(Client, linked(Client, Payment.client_id))
        .where(Payment.organisation_id == ours, Payment.currency == currency, week.holds(Payment.happened_at))
        .where(Client.commercial_id.is_not(None))
        .group_by(Client.commercial_id)
    )
    counts = [dict(_pairs(each)) for each in (clients, began, ended, collected)]
    return {
        commercial_id: _Figures(
            counts[0].get(commercial_id, 0),
            counts[1].get(commercial_id, 0),
            counts[2].get(commercial_id, 0),
            counts[3].get(commercial_id, NOTHING),
        )
        for commercial_id in set().union(*counts)
    }


def _changes(week: Week, organisation_id: UUID) -> Select[Any, int]:
    return (
        select(Subscription.commercial_id, func.count())
        .select_from(SubscriptionHistory)
        .join(Subscription, linked(Subscription, SubscriptionHistory.subscription_id))
        .where(
            SubscriptionHistory.organisation_id == organisation_id,
            SubscriptionHistory.old_status != SubscriptionHistory.new_status,
            Subscription.commercial_id.is_not(None),
            week.holds(SubscriptionHistory.at),
        )
        .group_by(Subscription.commercial_id)
    )


def _pairs(statement: Select[Any, Any]) -> Iterable[tuple[UUID, Any]]:
    return [(row[0], row[1]) for row in db.session.execute(statement)]


def _variables(
    week: Week, team: Sequence[Commercial], figures: Mapping[UUID, _Figures], *, at: datetime
) -> dict[str, object]:
    of_team = [(commercial, figures.get(commercial.id, _Figures())) for commercial in team]
    unpaid = dunning_figures.unpaid_by_age(
        commercial_ids=frozenset(commercial.id for commercial in team), today=at.astimezone(clock.PARIS).date()
    )
    left = claims.count_to_follow([each.id for each in team], today=at.astimezone(clock.PARIS).date())
    return {
        "debut": week.monday,
        "fin": week.sunday,
        "nouveaux_clients": sum(each.clients for _, each in of_team),
        "nouveaux_abonnements": sum(each.subscriptions for _, each in of_team),
        "abonnements_perdus": sum(each.lost for _, each in of_team),
        "encaisse": sum((each.collected for _, each in of_team), NOTHING),
        "impaye": sum((share.amount for share in unpaid.values()), NOTHING),
        "commerciaux": [
            {
                "nom": commercial.full_name,
                "nouveaux_clients": each.clients,
                "nouveaux_abonnements": each.subscriptions,
                "encaisse": each.collected,
            }
            for commercial, each in of_team
        ],
        "dossiers_sans_nouvelle": left[FollowUp.NO_NEWS],
        "provisions_a_revoir": left[FollowUp.RESERVE],
        "lien_dossiers": links.page("/dossiers"),
        "lien": links.page("/commerciaux"),
    }
