"""A company's cut-off is changed, and with it when its open batch locks itself."""

from datetime import datetime
from typing import Any
from uuid import UUID

from webapp.models.preferences import CutOff
from webapp.services.fulfilment.batches import restate_cut_off
from webapp.services.preferences import cut_offs
from webapp.transactions import transaction


def set_cut_off(company_id: UUID, *, changed_at: datetime, **setting: Any) -> CutOff:
    """As ``cut_offs.set_cut_off``, which says what may be refused."""
    with transaction():
        cut_off = cut_offs.set_cut_off(company_id, **setting)
        restate_cut_off(company_id, at=changed_at)
    return cut_off


def delete_cut_off(company_id: UUID, *, at: datetime) -> None:
    """As ``cut_offs.delete_cut_off``."""
    with transaction():
        cut_offs.delete_cut_off(company_id)
        restate_cut_off(company_id, at=at)
