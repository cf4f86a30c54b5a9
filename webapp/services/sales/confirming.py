"""The confirmation of a sale: what the client has signed, in words that can be kept, with the documents."""

from datetime import datetime

from webapp import french
from webapp.models.messages import MessageKind
from webapp.models.sales import CoverSale
from webapp.services.messages import writing
from webapp.services.messages.writing import Attachment, Draft
from webapp.services.sales import drafting
from webapp.services.sales.offers import Offer
from webapp.services.sales.wordings import find_wording


def confirm(sale: CoverSale, offer: Offer, *, at: datetime) -> None:
    """Write the confirmation of a sale that was just signed, once, in the caller's transaction.

    Who signed on paper and has no e-mail address has the paper.
    """
    if not sale.client.email or sale.signed_at is None or sale.signed_by is None:
        return
    wording = find_wording(sale.wording_version)
    documents = offer.version.documents
    draft = Draft(
        kind=MessageKind.SALE_SIGNED,
        company_id=offer.version.plan.company_id,
        client_id=sale.client_id,
        subject_id=sale.id,
        occasion="signed",
        variables={
            "souscription": sale.code,
            "formule": offer.version.plan.label,
            "options": ", ".join(option.label for option, _ in offer.options),
            "logement": drafting.home_line(sale),
            "montant": offer.price.each.with_tax,
            "rythme": offer.price.per,
            "prise_effet": offer.effective_on,
            "carence_jusqu_au": offer.waits_until,
            "renonciation_jusqu_au": offer.renounced_until,
            "signee_le": french.moment(sale.signed_at),
            "maniere": sale.signed_by.label.lower(),
            "accord": " ".join(
                [wording.words_for(sale.signed_by), *([wording.at_once] if sale.starts_at_once else [])]
            ),
            "version_texte": wording.version,
            "documents": [{"intitule": each.kind.label, "edition": each.edition} for each in documents],
        },
        attachments=tuple(Attachment("plan_document", each.id) for each in documents),
    )
    writing.write(draft, at=at)
