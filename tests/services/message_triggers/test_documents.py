"""Invoices, credit notes and revoked mandates, as the client is told of them."""

from datetime import date

from sqlalchemy import select

from tests import factories
from tests.conftest import Cast
from tests.queries import recorded_statements
from tests.services.message_triggers.conftest import NOW, Told
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.base import new_id
from webapp.models.charges import Charge
from webapp.models.invoices import Invoice
from webapp.models.messages import MessageKind
from webapp.services.invoices import drafting, finalising
from webapp.services.mandates import commands
from webapp.tenancy import current_organisation_id


def _draft(charge: Charge) -> Invoice:
    drafting.draft_for_charge(charge, at=NOW)
    db.session.commit()
    return db.session.scalars(select(Invoice).where(Invoice.charge_id == charge.id)).one()


class TestInvoices:
    def test_an_invoice_is_sent_once_it_has_its_number(self, told: Told) -> None:
        invoice = _draft(told.charge(vat=[{"rate": "20", "base": "20.00", "tax": "4.00"}]))
        told.deliver()
        assert told.kinds() == []
        finalising.finalise_drafts(current_organisation_id(), at=NOW)
        told.deliver()
        [message] = told.messages()
        db.session.refresh(invoice)
        assert message.kind is MessageKind.INVOICE
        assert message.attachments == {"files": [["invoice", str(invoice.id)]]}
        assert str(invoice.reference) in told.text()
        assert "24,00" in told.text()

    def test_a_run_is_told_in_sets(self, told: Told) -> None:
        drafting.draft_for_charges([told.charge(cycle_no=number) for number in range(30)], at=NOW)
        db.session.commit()
        with recorded_statements() as statements:
            assert finalising.finalise_drafts(current_organisation_id(), at=NOW) == 30
        assert len([each for each in statements if "INSERT INTO outbox" in each]) == 2


class TestMandates:
    def test_a_revocation_is_confirmed_once(self, told: Told, cast: Cast) -> None:
        mandate = Mandate(
            id=new_id(),
            client_id=told.client.id,
            bank_account_id=factories.make_bank_account(told.client).id,
            company_id=told.subscription.company_id,
            umr="MD-1",
            status=MandateStatus.ACTIVE,
            signed_on=date(2026, 1, 2),
        )
        db.session.add(mandate)
        db.session.commit()
        for _ in range(2):
            commands.revoke_mandate(told.client.id, mandate.id, by=cast.manager, at=NOW)
        told.deliver()
        assert told.kinds() == [MessageKind.MANDATE_REVOKED]
        assert "MD-1" in told.text()
