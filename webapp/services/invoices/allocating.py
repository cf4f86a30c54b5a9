"""Allocation: which movements of the ledger settle which invoice. Only ever added to.

A capture pays its charge's invoice; a reversal allocates its negative amount, and so the invoice is unpaid again. A
refund is no reversal: what it gives back is settled together with its credit note, and what comes back of it is settled
where it was, see ``crediting``.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from webapp.extensions import db
from webapp.tenancy import current_organisation_id

# One statement, so that it costs the same with every charge as with a thousand. What is told twice is allocated once.
_ALLOCATE = text(
    """
    WITH made AS (
      INSERT INTO allocations (organisation_id, id, payment_id, invoice_id, amount, at)
      SELECT p.organisation_id, gen_random_uuid(), p.id, i.id, p.amount, :at
      FROM payments p
      JOIN invoices i ON i.organisation_id = p.organisation_id AND i.charge_id = p.charge_id
      WHERE p.organisation_id = :organisation_id AND p.charge_id = ANY(:charge_ids)
        AND p.kind IN ('capture', 'reversal') AND p.currency = i.currency
      ON CONFLICT (organisation_id, payment_id, invoice_id) DO NOTHING
      RETURNING invoice_id, amount
    ), sums AS (
      SELECT invoice_id, sum(amount) AS amount FROM made GROUP BY invoice_id
    )
    UPDATE invoices i SET
      paid = i.paid + sums.amount,
      status = CASE WHEN i.status = 'draft' THEN 'draft'
                    WHEN i.paid + i.credited + sums.amount >= i.total THEN 'paid' ELSE 'issued' END
    FROM sums
    WHERE i.organisation_id = :organisation_id AND i.id = sums.invoice_id
    """
).bindparams(bindparam("charge_ids", type_=ARRAY(Uuid())))


def allocate(charge_ids: Sequence[UUID], *, at: datetime) -> None:
    """Allocate what the ledger holds for these charges to their invoices, in the caller's transaction."""
    db.session.flush()
    db.session.execute(
        _ALLOCATE, {"organisation_id": current_organisation_id(), "charge_ids": list(charge_ids), "at": at}
    )
