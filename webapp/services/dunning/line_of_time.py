"""The line of time of a case: what was, retries and steps alike, and what comes next and when."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from webapp import french
from webapp.clock import PARIS
from webapp.extensions import db
from webapp.models.charges import AttemptStatus, ChargeStatus
from webapp.models.dunning import (
    DunningCase,
    DunningClaim,
    DunningInstalment,
    DunningSequenceStep,
    DunningStep,
    DunningSuspension,
    StepOutcome,
)
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.dunning import days, planning, steps
from webapp.services.dunning.cases import Held
from webapp.services.dunning.steps import Turn


class Track(StrEnum):
    """To what a moment belongs."""

    CHARGE = "charge"
    STEP = "step"
    DECISION = "decision"


class Moment(NamedTuple):
    """Something on the line. ``at`` is an instant of what was, ``on`` a day of what is to come."""

    track: Track
    label: str
    detail: str
    at: datetime | None = None
    on: date | None = None
    message_id: UUID | None = None
    charge_id: UUID | None = None

    @property
    def key(self) -> tuple[datetime, int]:
        """Its place on the line; on a day to come, retries go before steps."""
        instant = self.at or datetime.combine(self.on or date.min, time(23, 59), PARIS)
        return instant, list(Track).index(self.track)


def list_moments(
    case: DunningCase, claims: Sequence[DunningClaim], instalments: Sequence[DunningInstalment], *, at: datetime
) -> tuple[list[Moment], list[Moment]]:
    """What was, the latest first, and what is to come, the next first."""
    past = [*_past_attempts(claims), *_past_steps(case.id), *_past_decisions(case)]
    to_come = [*_retries(claims), *_steps_to_come(case, claims, at=at), *_instalments_to_come(instalments)]
    if case.pause_until is not None:
        to_come.append(Moment(Track.DECISION, "La promesse prend fin", "", on=case.pause_until))
    to_come += _resumptions(case.id)
    return sorted(past, key=lambda each: each.key, reverse=True), sorted(to_come, key=lambda each: each.key)


def _past_attempts(claims: Iterable[DunningClaim]) -> Iterable[Moment]:
    seen = set()
    for claim in claims:
        for attempt in claim.charge.attempts:
            if attempt.id in seen:
                continue
            seen.add(attempt.id)
            words = attempt.provider_message or attempt.provider_code or ""
            yield Moment(
                Track.CHARGE,
                f"Tentative de {claim.charge.code}\u202f: {attempt.status.label.lower()}",
                f"«\u00a0{words}\u00a0»" if words and attempt.status is not AttemptStatus.SUCCEEDED else "",
                at=attempt.settled_at or attempt.created_at,
                charge_id=claim.charge_id,
            )
        if claim.left_at is not None and claim.outcome is not None:
            label = f"{claim.charge.code}\u202f: {claim.outcome.label.lower()}"
            detail = french.money(claim.amount, claim.charge.currency)
            yield Moment(Track.CHARGE, label, detail, at=claim.left_at, charge_id=claim.charge_id)


def _past_steps(case_id: UUID) -> Iterable[Moment]:
    statement = select(DunningStep).where(DunningStep.case_id == case_id)
    for noted in db.session.scalars(statement.options(joinedload(DunningStep.step), joinedload(DunningStep.user))):
        label = steps.label_of(noted.step) if noted.step else noted.action.label
        if noted.outcome is not StepOutcome.DONE:
            label = f"{label}\u202f: {noted.outcome.label.lower()}"
        who = f" par {noted.user.full_name}" if noted.user else ""
        amount = french.money(noted.amount) if noted.amount else ""
        detail = " · ".join(part for part in (amount, noted.reason or "", who.strip()) if part)
        yield Moment(Track.STEP, label, detail, at=noted.at, message_id=noted.message_id)


def _past_decisions(case: DunningCase) -> Iterable[Moment]:
    kinds = (EventKind.DUNNING_OPENED, EventKind.DUNNING_DECIDED, EventKind.DUNNING_CLOSED)
    statement = (
        select(TimelineEvent)
        .where(
            TimelineEvent.client_id == case.client_id,
            TimelineEvent.kind.in_(kinds),
            TimelineEvent.changes["case"][1].astext == case.code,
        )
        .options(joinedload(TimelineEvent.user))
    )
    for event in db.session.scalars(statement):
        action = event.changes.get("case_action", [None, ""])[1]
        reason = event.changes.get("reason", [None, ""])[1]
        until = event.changes.get("until", [None, ""])[1]
        until_words = f"jusqu’au {french.day(date.fromisoformat(until))}" if until else ""
        who = f"par {event.user.full_name}" if event.user else ""
        detail = " · ".join(part for part in (until_words, reason, who) if part)
        yield Moment(Track.DECISION, action or event.kind.label, detail, at=event.at)


def _retries(claims: Iterable[DunningClaim]) -> Iterable[Moment]:
    for claim in claims:
        charge = claim.charge
        if (
            claim.left_at is None
            and charge.next_attempt_at
            and charge.status
            in (
                ChargeStatus.RETRYING,
                ChargeStatus.SCHEDULED,
                ChargeStatus.FAILED,
                ChargeStatus.REVERSED,
            )
        ):
            label = f"Nouvelle tentative de {charge.code}"
            detail = french.money(charge.owed, charge.currency)
            yield Moment(Track.CHARGE, label, detail, at=charge.next_attempt_at, charge_id=charge.id)


def _steps_to_come(case: DunningCase, claims: Iterable[DunningClaim], *, at: datetime) -> Iterable[Moment]:
    if not case.status.is_living or case.next_step_id is None:
        return
    held = [Held(claim, claim.charge) for claim in claims if claim.left_at is None]
    [turn] = steps.turns([case], {case.id: held})
    for step in turn.steps:
        if step.id not in turn.progress.settled:
            yield _step_to_come(turn, step, days.local(at))


def _step_to_come(turn: Turn, step: DunningSequenceStep, today: date) -> Moment:
    progress = turn.progress
    day = planning.due_on(step, turn.steps, progress, is_insurance=turn.is_insurance)
    label = steps.label_of(step)
    if step.minimum_amount:
        label = f"{label} (si {french.money(step.minimum_amount)} au moins)"
    if day is None:
        noticed = replace(progress, noticed_on=max(today, _notice_planned_on(step, turn)))
        earliest = planning.due_on(step, turn.steps, noticed, is_insurance=turn.is_insurance)
        return Moment(Track.STEP, label, "au plus tôt, selon l’envoi de la mise en demeure", on=earliest)
    return Moment(Track.STEP, label, "", on=max(day, today))


def _notice_planned_on(step: DunningSequenceStep, turn: Turn) -> date:
    notice = planning.notice_before(step, turn.steps)
    return planning.planned_on(notice or step, turn.progress)


def _instalments_to_come(instalments: Iterable[DunningInstalment]) -> Iterable[Moment]:
    for each in instalments:
        if each.charge_id is None and each.canceled_at is None:
            label = f"Échéance n° {each.position + 1} de l’échéancier"
            yield Moment(Track.CHARGE, label, french.money(each.amount), on=each.due_on)


def _resumptions(case_id: UUID) -> Iterable[Moment]:
    standing = select(DunningSuspension).where(
        DunningSuspension.case_id == case_id,
        DunningSuspension.resume_at.is_not(None),
        DunningSuspension.ended_at.is_(None),
    )
    for each in db.session.scalars(standing):
        yield Moment(Track.STEP, "Reprise de l’abonnement", "", at=each.resume_at)
