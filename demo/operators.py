"""The pretend operator as one of the demo organisation, where it runs, so that what it tells arrives, and it is told.

Called at every start: one that is connected already is left as it is, but for its address, which may move.
"""

import hashlib
import os

from sqlalchemy import select

from demo.depanssur_operator import derived, operator_id
from webapp import clock
from webapp.extensions import db
from webapp.models.operators import CoverOperator
from webapp.services.operators.keys import PREFIX, START_LENGTH
from webapp.transactions import transaction

NAME = "Opérateur fictif"


def add_operator() -> None:
    """Connect it to the current organisation."""
    url, secret = os.environ.get("DEPANSSUR_OPERATOR_URL", ""), os.environ.get("DEPANSSUR_OPERATOR_SECRET", "")
    if not url or not secret:
        return
    key = PREFIX + hashlib.sha256(f"key|{secret}".encode()).hexdigest()[:43]
    with transaction():
        operator = db.session.scalar(select(CoverOperator).where(CoverOperator.id == operator_id(secret)))
        if operator is None:
            operator = CoverOperator(
                id=operator_id(secret),
                name=NAME,
                key_hash=hashlib.sha256(key.encode()).digest(),
                key_start=key[:START_LENGTH],
                created_at=clock.now(),
            )
            operator.keep_secrets("webhook_secrets", [derived(secret, "webhook")])
            operator.keep_secrets("delivery_secrets", [derived(secret, "delivery")])
            operator.secrets_changed_at = clock.now()
            db.session.add(operator)
        operator.delivery_url = f"{url}/webhooks"
