"""« D’où vient cette valeur ? », for each value of a contract: a panel in its page, or a page of its own."""

from datetime import datetime
from uuid import UUID

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.security import current_user
from webapp.services.contracts import origins
from webapp.services.contracts.editing import LABELS
from webapp.views.contracts.page import NEVER
from webapp.views.layout import toast
from webapp.views.lists import read
from webapp.views.origins import History, show_history

bp = Blueprint("contract_origins", __name__, url_prefix="/contrats")


@bp.get("/<uuid:contract_id>/origine/<field>")
def show(contract_id: UUID, field: str) -> str:
    """Where the value of ``field`` comes from, and what stood before."""
    origin = origins.find_origin(contract_id, field)
    contract = origin.contract
    return show_history(
        History(
            origin,
            label=LABELS[field].capitalize(),
            word=origin.word,
            address=url_for(".put_back", contract_id=contract.id, field=field),
            version=contract.changed_at.isoformat(),
            back=url_for("contract.show", contract_id=contract.id),
            subject=f"Contrat {contract.reference}",
        )
    )


@bp.post("/<uuid:contract_id>/origine/<field>")
def put_back(contract_id: UUID, field: str) -> ResponseReturnValue:
    """Put back what stood before the change ``evenement``, on the contract as it was seen (``version``)."""
    change_id = read(int, request.form.get("evenement"))
    if change_id is None:
        raise InvalidInputError("Choisissez la valeur à remettre.")
    seen = read(datetime.fromisoformat, request.form.get("version")) or NEVER
    origins.put_back(contract_id, field, change_id, seen=seen, by=current_user(), at=clock.now())
    toast("success", "Valeur remise.")
    return redirect(url_for("contract.show", contract_id=contract_id), 303)
