"""What stands around every step of a sale: the steps, what has changed meanwhile, and the way on."""

from typing import Any
from uuid import UUID

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError
from webapp.models.sales import CoverSale, SaleStep
from webapp.services.sales import offers

ENDPOINTS = {
    SaleStep.CLIENT: "sale_beginning.client",
    SaleStep.HOME: "sale_steps.home",
    SaleStep.PLAN: "sale_steps.plan",
    SaleStep.DOCUMENTS: "sale_steps.documents",
    SaleStep.PAYMENT: "sale_steps.payment",
    SaleStep.SUMMARY: "sale_steps.summary",
    SaleStep.SIGNATURE: "sale_signing.show",
}


def frame(sale: CoverSale | None, step: SaleStep, problem: DomainError | None = None) -> dict[str, Any]:
    """What every page of a step needs; ``sale`` is None before there is one."""
    offer = offers.offer_of(sale, at=clock.now()) if sale and sale.plan_version and sale.has_home else None
    changed = offers.changed_price(offer) if offer and sale and sale.is_open and not offer.is_current else None
    reached = sale.step.number if sale else 1
    return {
        "sale": sale,
        "step": step,
        "steps": [
            (each, step_address(sale.id, each) if sale and each.number <= reached else None) for each in SaleStep
        ],
        "back": step_address(sale.id, step.former) if sale and step is not SaleStep.CLIENT else url_for("sales.index"),
        "offer": offer,
        "changed": changed,
        "problem": problem,
    }


def step_address(sale_id: UUID, step: SaleStep) -> str:
    """Where a step of a sale stands."""
    return url_for(ENDPOINTS[step], sale_id=sale_id)


def to_step(sale: CoverSale, step: SaleStep | None = None) -> ResponseReturnValue:
    """To a step, without one to that which is to be done next; of a sale that is over, to what it led to."""
    if sale.cover_id:
        return redirect(url_for("cover.show", cover_id=sale.cover_id), 303)
    if not sale.is_open:
        return redirect(url_for("sale_signing.prove", sale_id=sale.id), 303)
    return redirect(step_address(sale.id, step or sale.step), 303)


def seen_version() -> int:
    """The version of the sale that the form was made from; 0, which none has, where it says none."""
    text = request.form.get("version", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
