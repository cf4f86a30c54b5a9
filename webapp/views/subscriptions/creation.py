"""Creating a subscription, from a client or a contract, in steps.

What was written stands in the address, so that Back, a reload and a bookmark lose nothing; only the last click writes.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from webapp import clock
from webapp.errors import DomainError, InvalidInputError
from webapp.models.money import totals
from webapp.models.subscriptions import RHYTHMS, Frequency
from webapp.security import current_user
from webapp.services.organisations import list_companies
from webapp.services.subscriptions import offering, scheduling
from webapp.services.subscriptions.coupons import find_valid
from webapp.services.subscriptions.creation import create_subscription
from webapp.services.subscriptions.fields import (
    CheckedLine,
    Opening,
    SubscriptionFields,
    check_dates,
    check_frequency,
    check_lines,
    check_opening,
)
from webapp.services.subscriptions.means import Means, find_means
from webapp.services.subscriptions.offering import Origin
from webapp.views.layout import toast
from webapp.views.lists import read, read_day
from webapp.views.subscriptions.changes import as_payment_problem, line_choices
from webapp.views.subscriptions.form import (
    DEFAULT,
    VAT_CHOICES,
    WrittenLine,
    change_lines,
    payment_choices,
    read_lines,
    read_payment,
    written_lines,
)
from webapp.views.subscriptions.offer import TRIALS, read_opening

bp = Blueprint("subscription_creation", __name__, url_prefix="/abonnements")

RHYTHM, LINES, PAYMENT, SUMMARY = range(1, 5)
STEPS = {RHYTHM: "Rythme", LINES: "Lignes", PAYMENT: "Paiement", SUMMARY: "Vérification"}
MOST_LINES = 20
"""What fits into an address; more are added once the subscription is there."""
OPENING = {"essai": "", "duree": "", "frais": "", "frais_tva": "20", "coupon": ""}
"""Names of what it opens with, and what stands there at first."""
FREQUENCIES = [(frequency.value, frequency.label) for frequency in RHYTHMS]


@dataclass(frozen=True)
class Draft:
    """What was written so far, and what it starts from."""

    origin: Origin
    company_id: UUID | None
    frequency: str
    start: str
    end: str
    lines: list[WrittenLine]
    payment: str
    opening: dict[str, str]

    def check(self, step: int) -> None:
        """Whether what a step asks for makes sense. Raises InvalidInputError, naming the field."""
        if step == RHYTHM:
            check_frequency(self.frequency)
            check_dates(self.anchor, self.last_day, today=clock.today(), is_imported=False)
            self.checked_opening()
            if self.coupon.strip():
                find_valid(self.coupon, on=clock.today())
        elif step == LINES:
            self.checked_lines()
        elif step == PAYMENT:
            self.means()

    @property
    def anchor(self) -> date | None:
        """When the first cycle falls due."""
        return _day(self.start, "anchor_date")

    @property
    def last_day(self) -> date | None:
        """The end of its life, if it has one."""
        return _day(self.end, "ends_on")

    @property
    def coupon(self) -> str:
        """The code of its coupon, or nothing."""
        return self.opening["coupon"]

    def checked_opening(self) -> Opening:
        """How it opens. Raises InvalidInputError."""
        return check_opening(read_opening(self.opening))

    def checked_lines(self) -> list[CheckedLine]:
        """The lines as they will be kept. Raises InvalidInputError."""
        if len(self.lines) > MOST_LINES:
            raise InvalidInputError(
                f"Pas plus de {MOST_LINES} lignes ici\u202f: ajoutez les autres une fois l’abonnement créé.",
                field="lines",
            )
        return check_lines([line.fields() for line in self.lines])

    def means(self) -> Means:
        """How it will be paid. Raises InvalidInputError."""
        if self.company_id is None:
            raise InvalidInputError("Choisissez la société qui vend.", field="company_id")
        return find_means(read_payment(self.payment), client_id=self.origin.client.id, company_id=self.company_id)

    def fields(self) -> SubscriptionFields:
        """What the service takes."""
        return SubscriptionFields(
            client_id=self.origin.client.id,
            contract_id=self.origin.contract.id if self.origin.contract else None,
            company_id=self.company_id,
            frequency=self.frequency,
            anchor_date=self.anchor,
            ends_on=self.last_day,
            lines=[line.fields() for line in self.lines[: MOST_LINES + 1]],
            payment=read_payment(self.payment),
            opening=read_opening(self.opening),
            coupon=self.coupon,
        )

    @property
    def pairs(self) -> dict[int, list[tuple[str, str]]]:
        """Names and values by step: what the other steps carry along as hidden fields."""
        return {
            RHYTHM: [
                ("societe", str(self.company_id or "")),
                ("frequence", self.frequency),
                ("debut", self.start),
                ("fin", self.end),
                *self.opening.items(),
            ],
            LINES: [pair for line in self.lines for pair in line.pairs],
            PAYMENT: [("paiement", self.payment)],
        }


def _day(written: str, field: str) -> date | None:
    day = read_day(written)
    if written and day is None:
        raise InvalidInputError("Indiquez une date valable.", field=field)
    return day


@bp.get("/nouveau")
def new() -> ResponseReturnValue:
    """The step that the address asks for, or the first one before it where something is missing or wrong."""
    draft = _read_draft(request.args)
    order = request.args.get("ligne", "")
    if order:
        return _page(draft, LINES, lines=change_lines(draft.lines, order))
    asked = read(int, request.args.get("etape")) or RHYTHM
    asked = min(max(asked, RHYTHM), SUMMARY)
    for step in range(RHYTHM, asked):
        try:
            draft.check(step)
        except InvalidInputError as error:
            return _page(draft, step, problem=error), error.status
    return _page(draft, asked)


@bp.post("/nouveau")
def create() -> ResponseReturnValue:
    """Create it; where that is refused, the step at fault with the reason."""
    draft = _read_draft(request.form)
    try:
        subscription = create_subscription(draft.fields(), by=current_user(), at=clock.now())
    except InvalidInputError as error:
        return _page(draft, _step_of(error), problem=error), error.status
    toast(
        "success",
        f"Abonnement {subscription.code} créé. Il commence avec son premier paiement, ou quand vous l’activez.",
    )
    return redirect(url_for("subscription.show", subscription_id=subscription.id), 303)


def _step_of(error: DomainError) -> int:
    field = error.field or ""
    if field.startswith("lines"):
        return LINES
    return PAYMENT if field in ("payment_method", "saved_method_id", "mandate_id") else RHYTHM


def _read_draft(written: MultiDict[str, str]) -> Draft:
    origin = offering.find_origin(
        client_id=read(UUID, written.get("client")), contract_id=read(UUID, written.get("contrat"))
    )
    lines = read_lines(written)
    if not lines and "libelle" not in written:  # nobody has been at the lines yet
        lines = written_lines(origin.lines[:MOST_LINES])
    return Draft(
        origin=origin,
        company_id=origin.contract.company_id if origin.contract else _company_id(written),
        frequency=written.get("frequence", Frequency.MONTHLY.value),
        start=written.get("debut", clock.today().isoformat()).strip(),
        end=written.get("fin", "").strip(),
        lines=lines,
        payment=written.get("paiement", DEFAULT),
        opening={name: written.get(name, usual) for name, usual in OPENING.items()},
    )


def _company_id(written: MultiDict[str, str]) -> UUID | None:
    companies = [company.id for company in list_companies()]
    asked = read(UUID, written.get("societe"))
    return asked if asked in companies else next(iter(companies), None)


def _page(
    draft: Draft, step: int, *, lines: list[WrittenLine] | None = None, problem: DomainError | None = None
) -> str:
    lines_shown = draft.lines if lines is None else lines
    return render_template(
        "subscriptions/new.html",
        draft=draft,
        origin=draft.origin,
        step=step,
        steps=STEPS,
        lines=lines_shown or [WrittenLine()],
        problem=as_payment_problem(problem) if problem else None,
        **_offer(draft, step),
    )


def _offer(draft: Draft, step: int) -> dict[str, Any]:
    """What the controls of a step offer, or what the last one sums up."""
    if step == LINES:
        return line_choices()
    if step == PAYMENT:
        offer = offering.list_means(draft.origin.client.id, on=clock.today())
        return {"choices": payment_choices(offer)}
    companies = [(str(company.id), company.name) for company in list_companies()]
    if step == RHYTHM:
        choices = {"trials": TRIALS, "vat_choices": VAT_CHOICES, "written": draft.opening}
        return {"companies": companies, "frequencies": FREQUENCIES, **choices}
    checked, means, start = draft.checked_lines(), draft.means(), draft.anchor or clock.today()
    frequency, opening = check_frequency(draft.frequency), draft.checked_opening()
    start += timedelta(days=opening.trial_days)
    return {
        "company": dict(companies).get(str(draft.company_id), ""),
        "frequency": frequency,
        "checked": checked,
        "per_cycle": totals((line.vat_rate, line.amount) for line in checked),
        "means": means,
        "opening": opening,
        "obstacle": means.obstacle(start),
        "due_dates": [scheduling.due_date(start, frequency, cycle) for cycle in range(4)],
    }
