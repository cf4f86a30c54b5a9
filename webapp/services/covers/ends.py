"""When a termination (résiliation) ends a cover, by its ground, and why on that day. Pure: nothing is read or written.

A notice period passes in full days, the day of receipt not counted, as with L113-3: the cover ends with the day after
the last one (articles 641 and 642 of the code of civil procedure). Articles are those of the insurance code.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from webapp.errors import InvalidInputError
from webapp.french import counted, day
from webapp.models.covers import CoverNature, TerminationChannel, TerminationGround
from webapp.services.covers import intervals
from webapp.services.dunning import days

DAY = timedelta(days=1)
EARLIEST = relativedelta(years=-1)
FURTHEST = relativedelta(years=1)
MOVED_WITHIN = relativedelta(months=3)
NEEDS_NOTE = (TerminationGround.FRAUD, TerminationGround.AGREED)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A termination as it was asked for. ``event_on`` is that of the move or the loss, or the end that was agreed."""

    channel: TerminationChannel | None = None
    ground: TerminationGround | None = None
    received_on: date | None = None
    event_on: date | None = None
    note: str = ""


@dataclass(frozen=True)
class Promise:
    """What the end depends on. ``noticed_on`` is the day on which a formal notice was sent of what is unpaid now."""

    nature: CoverNature
    concluded_on: date
    effective_on: date
    commitment_months: int
    notice_days: int
    noticed_on: date | None = None

    @property
    def is_insurance(self) -> bool:
        """Whether the insurance code says when it ends."""
        return self.nature is CoverNature.INSURANCE


@dataclass(frozen=True)
class End:
    """``due_on`` is the first day without cover by the rule, ``ends_on`` the day on which it ends for us: today at the
    earliest. ``lines`` explain them.
    """

    due_on: date
    ends_on: date
    lines: tuple[str, ...] = field(default=())


def end_of(request: Request, promise: Promise, *, today: date) -> End:
    """When the cover ends. Raises InvalidInputError, naming the field, for what cannot be or not yet."""
    if request.channel is None:
        raise InvalidInputError("Choisissez par quel moyen la demande est arrivée.", field="channel")
    if request.ground is None:
        raise InvalidInputError("Choisissez un motif.", field="ground")
    received_on = request.received_on
    if received_on is None or not today + EARLIEST <= received_on <= today:
        raise InvalidInputError("Indiquez le jour de la réception, aujourd’hui au plus tard.", field="received_on")
    due_on, reason = _RULES[request.ground](request, received_on, promise, today)
    return _end(due_on, reason, today=today)


def _end(due_on: date, reason: str, *, today: date) -> End:
    if due_on < today:
        late = (
            f"Ce jour est passé\u202f: elle prend fin aujourd’hui, et ce qui a été payé depuis le {day(due_on)} est dû."
        )
        return End(due_on, today, (reason, late))
    if due_on == today:
        return End(due_on, today, (reason, "Elle prend fin aujourd’hui."))
    return End(due_on, due_on, (reason, f"Dernier jour couvert\u202f: le {day(due_on - DAY)}."))


def _anniversary(_request: Request, received_on: date, promise: Promise, _today: date) -> tuple[date, str]:
    free_on = received_on + timedelta(days=promise.notice_days) + DAY
    bound_until = promise.effective_on + relativedelta(months=promise.commitment_months)
    years = 1
    while promise.effective_on + relativedelta(years=years) < max(free_on, bound_until):
        years += 1
    ends_on = promise.effective_on + relativedelta(years=years)
    return ends_on, (
        f"À la première échéance annuelle que le préavis de {counted(promise.notice_days, 'jour')} précède en entier"
        f"\u202f: le {day(ends_on)}."
    )


def _after_a_year(_request: Request, received_on: date, promise: Promise, _today: date) -> tuple[date, str]:
    months = min(promise.commitment_months, 12) if promise.is_insurance else promise.commitment_months
    free_on = promise.concluded_on + relativedelta(months=months)
    if received_on < free_on:
        raise InvalidInputError(
            f"On résilie à tout moment à partir du {day(free_on)}\u202f: avant, choisissez l’échéance annuelle ou un "
            "autre motif.",
            field="ground",
        )
    ends_on, notice = _after_notice(received_on, promise)
    article = " (art.\u00a0L113-15-2)" if promise.is_insurance else ""
    return ends_on, f"Conclue le {day(promise.concluded_on)}, elle se résilie à tout moment{article}\u202f: {notice}."


def _move(request: Request, received_on: date, promise: Promise, _today: date) -> tuple[date, str]:
    moved_on = _event_day(request, received_on, "Indiquez le jour du déménagement.")
    if moved_on + MOVED_WITHIN < received_on:
        raise InvalidInputError(
            "La demande est arrivée plus de trois mois après le déménagement\u202f: choisissez un autre motif.",
            field="event_on",
        )
    noticed, notice = _after_notice(received_on, promise)
    article = " (art.\u00a0L113-16)" if promise.is_insurance else ""
    if noticed <= moved_on:
        return moved_on + DAY, f"Déménagement le {day(moved_on)}{article}\u202f: elle dure jusqu’à ce jour."
    return noticed, f"Déménagement le {day(moved_on)}{article}\u202f: {notice}."


def _loss(request: Request, received_on: date, promise: Promise, _today: date) -> tuple[date, str]:
    lost_on = _event_day(request, received_on, "Indiquez le jour de la perte du logement.")
    if lost_on > received_on:
        raise InvalidInputError("Le logement est perdu avant que la demande arrive.", field="event_on")
    article = " (art.\u00a0L121-9)" if promise.is_insurance else ""
    return lost_on + DAY, f"Il n’y a plus rien à couvrir depuis le {day(lost_on)}{article}."


def _unpaid(_request: Request, _received_on: date, promise: Promise, today: date) -> tuple[date, str]:
    if promise.noticed_on is None:
        raise InvalidInputError(
            "Aucune mise en demeure n’a été envoyée pour ce qui est impayé\u202f: rien ne permet de résilier.",
            field="ground",
        )
    noticed = f"Mise en demeure envoyée le {day(promise.noticed_on)}"
    if not promise.is_insurance:
        return today, f"{noticed}, restée sans effet."
    earliest = days.local(intervals.earliest_termination(promise.noticed_on))
    if earliest > today:
        raise InvalidInputError(
            f"{noticed}\u202f: on résilie à partir du {day(earliest)}, quarante jours pleins plus tard "
            "(art.\u00a0L113-3).",
            field="ground",
        )
    return today, f"{noticed}, plus de quarante jours pleins sont passés (art.\u00a0L113-3)."


def _fraud(_request: Request, _received_on: date, promise: Promise, today: date) -> tuple[date, str]:
    article = " (art.\u00a0L113-8)" if promise.is_insurance else ""
    return (
        today,
        f"Une fausse déclaration intentionnelle met fin à la couverture{article}\u202f: ce qui a été payé reste dû.",
    )


def _agreed(request: Request, _received_on: date, _promise: Promise, today: date) -> tuple[date, str]:
    if request.event_on is None or not today <= request.event_on <= today + FURTHEST:
        raise InvalidInputError("Indiquez la fin convenue, d’aujourd’hui à dans un an.", field="event_on")
    return request.event_on, f"Les parties sont convenues que la couverture prend fin le {day(request.event_on)}."


def _event_day(request: Request, received_on: date, sentence: str) -> date:
    if request.event_on is None or not received_on + EARLIEST <= request.event_on <= received_on + FURTHEST:
        raise InvalidInputError(sentence, field="event_on")
    return request.event_on


def _after_notice(received_on: date, promise: Promise) -> tuple[date, str]:
    """The day after the notice, and the words: a month by the law, or what the plan says of a service."""
    if promise.is_insurance:
        last, length = received_on + relativedelta(months=1), "un mois"
    else:
        last, length = received_on + timedelta(days=promise.notice_days), counted(promise.notice_days, "jour")
    return last + DAY, f"{length} après la réception du {day(received_on)}"


_Rule = Callable[[Request, date, Promise, date], tuple[date, str]]
_RULES: dict[TerminationGround, _Rule] = {
    TerminationGround.ANNIVERSARY: _anniversary,
    TerminationGround.AFTER_A_YEAR: _after_a_year,
    TerminationGround.MOVE: _move,
    TerminationGround.LOSS: _loss,
    TerminationGround.UNPAID: _unpaid,
    TerminationGround.FRAUD: _fraud,
    TerminationGround.AGREED: _agreed,
}
