"""What dunning writes to clients: drafts of messages, whether the formal notice was sent, what is withdrawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, exists, select
from sqlalchemy.orm import InstrumentedAttribute

from webapp.extensions import db
from webapp.models.charges import Charge
from webapp.models.dunning import DunningCase, DunningInstalment, DunningSequenceStep, DunningStep
from webapp.models.messages import HAS_LEFT, Channel, Message, MessageKind, MessageStatus
from webapp.services.dunning import days, paying
from webapp.services.dunning.paying import Claimed, Links
from webapp.services.messages import deciding, writing
from webapp.services.messages.writing import Draft

TIME_TO_PAY = timedelta(days=8)
"""How long a client is given by a message."""
CHANNELS = {"email": Channel.EMAIL, "sms": Channel.SMS, "letter": Channel.LETTER}
DEMANDS = (MessageKind.DUNNING_REMINDER, MessageKind.DUNNING_SMS, MessageKind.FORMAL_NOTICE)
"""What asks for money, and says nothing of what was taken away."""


@dataclass(frozen=True)
class Notice:
    """A formal notice that was written; ``sent_at`` is empty until it has left or was posted, and once it came back."""

    message_id: UUID
    sent_at: datetime | None


def find_notices(written: Mapping[UUID, UUID]) -> dict[UUID, Notice]:
    """The formal notice of each case among the messages that its steps wrote (message → case), the first that was
    sent.
    """
    notices: dict[UUID, Notice] = {}
    if not written:
        return notices
    sent_at = case((Message.status.in_(HAS_LEFT), Message.sent_at))
    statement = select(Message.id, sent_at.label("sent_at")).where(
        Message.id.in_(written), Message.kind == MessageKind.FORMAL_NOTICE, Message.status != MessageStatus.CANCELED
    )
    for row in db.session.execute(statement.order_by(sent_at.asc().nulls_last(), Message.id)):
        notices.setdefault(written[row.id], Notice(row.id, row.sent_at))
    return notices


def has_left(message_id: InstrumentedAttribute[UUID | None]) -> ColumnElement[bool]:
    """In a statement: whether the message was sent, or posted."""
    return exists().where(
        Message.organisation_id == message_id.parent.entity.organisation_id,
        Message.id == message_id,
        Message.status.in_(HAS_LEFT),
    )


@dataclass(frozen=True)
class Telling:
    """A message that a step of a case is to write, about some of what the case holds; ``is_insurance``: by L113-3."""

    case: DunningCase
    kind: str
    occasion: str
    claims: Sequence[tuple[Charge, Decimal]]
    channel: Channel | None = None
    asks_means: bool = False
    is_insurance: bool = False

    @property
    def key(self) -> str:
        """By what the message is found again: the same key as its dedupe key."""
        return f"{self.kind}:{self.case.id}:{self.occasion}"


def of_step(
    case: DunningCase,
    step: DunningSequenceStep,
    record: DunningStep,
    claims: Sequence[tuple[Charge, Decimal]],
    *,
    is_insurance: bool,
) -> Telling | None:
    """What the step writes; None where it writes nothing. Its record stands for it: there is one a round."""
    if step.message_kind is None:
        return None
    channel = CHANNELS.get(step.action.value)
    return Telling(case, step.message_kind, str(record.id), claims, channel, step.asks_means, is_insurance)


def write(tellings: Sequence[Telling], *, at: datetime, by: UUID | None = None) -> dict[str, UUID]:
    """Write the messages, in the caller's transaction; returns their ids by key.

    One that was written before is found again; one whose kind is switched off is not there.
    """
    if not tellings:
        return {}
    links = paying.find_links([Claimed(each.case, each.claims, each.asks_means) for each in tellings], at=at)
    writing.write_many([draft_of(telling, links, at=at) for telling in tellings], at=at, by=by)
    keys = [telling.key for telling in tellings]
    rows = db.session.execute(select(Message.dedupe_key, Message.id).where(Message.dedupe_key.in_(keys)))
    return {row.dedupe_key: row.id for row in rows}


def draft_of(telling: Telling, links: Links, *, at: datetime) -> Draft:
    """The message as it is written on the day of ``at``, from which the client has TIME_TO_PAY."""
    return Draft(
        kind=MessageKind(telling.kind),
        client_id=telling.case.client_id,
        company_id=telling.case.company_id,
        subject_id=telling.case.id,
        occasion=telling.occasion,
        variables=variables_of(
            telling.case,
            telling.claims,
            links,
            until=days.local(at) + TIME_TO_PAY,
            is_insurance=telling.is_insurance,
        ),
        channel=telling.channel,
    )


def variables_of(
    case: DunningCase,
    claims: Sequence[tuple[Charge, Decimal]],
    links: Links,
    *,
    until: date,
    is_insurance: bool = False,
) -> dict[str, Any]:
    """What a message may say: the sum, what it is made of, until when to pay, where what is unpaid longest may be paid
    on a page, or else another means be given, the number of the case, whether L113-3 counts its days.
    """
    payment_link = next((links.payment[charge.id] for charge, _ in claims if charge.id in links.payment), "")
    return {
        "montant_du": sum((amount for _, amount in claims), Decimal("0.00")),
        "impayes": [
            {"libelle": label_of(charge), "echeance": charge.due_on, "montant": amount} for charge, amount in claims
        ],
        "date_limite": until,
        "lien_paiement": payment_link,
        "lien_moyen": "" if payment_link else links.means.get(case.id, ""),
        "numero_dossier": case.code,
        "assurance": "oui" if is_insurance else "",
    }


def write_plan(
    case: DunningCase,
    claims: Sequence[tuple[Charge, Decimal]],
    instalments: Sequence[DunningInstalment],
    *,
    at: datetime,
    by: UUID | None,
) -> None:
    """Confirm a plan to the client: what it replaces, and each instalment with its day."""
    plan = instalments[0].plan
    variables = variables_of(case, claims, Links({}, {}), until=instalments[-1].due_on)
    variables["impayes"] = [
        {"libelle": f"Échéance n° {each.position + 1}", "echeance": each.due_on, "montant": each.amount}
        for each in sorted(instalments, key=lambda each: (each.position, each.id))
    ]
    writing.write(
        Draft(
            kind=MessageKind.PAYMENT_PLAN,
            client_id=case.client_id,
            company_id=case.company_id,
            subject_id=case.id,
            occasion=f"plan.{plan}",
            variables=variables,
        ),
        at=at,
        by=by,
    )


def label_of(charge: Charge) -> str:
    """What the client reads of a charge: its first line, and its number."""
    first = next((line["label"] for line in charge.lines if line.get("label")), "Échéance")
    return f"{first} ({charge.code})"


def withdraw(case_id: UUID, *, is_settled: bool = False, at: datetime) -> set[UUID]:
    """Cancel what was asked for about a case and has not left; returns the ids of these messages.

    Once the case ``is_settled``, what it suspended goes on, too. A termination stands, and is told of.
    """
    kinds = (*DEMANDS, MessageKind.SUSPENSION_NOTICE, MessageKind.PAYMENT_PLAN) if is_settled else DEMANDS
    return deciding.withdraw(case_id, kinds, at=at)
