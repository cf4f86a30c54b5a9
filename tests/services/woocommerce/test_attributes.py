"""What the buyer chose of a variation becomes a preference, where the shop's table says so."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from tests import factories
from tests.services.woocommerce import bodies
from tests.services.woocommerce.bodies import BOX
from tests.services.woocommerce.telling import CUSTOMER, SUBSCRIPTION, Teller, make_shop
from webapp.extensions import db
from webapp.models.preferences import PreferenceValue, ValueType
from webapp.models.woocommerce import WooCommerceResource

DAY = datetime(2026, 11, 2, 9, tzinfo=UTC)


def subscribe(company_id: UUID, chosen: dict[str, Any], codes: dict[str, str]) -> Teller:
    factories.PreferenceSchemaFactory(
        code="taille", label="Taille", value_type=ValueType.ENUM, allowed_values=["Petite"]
    )
    teller = Teller(make_shop(company_id, attribute_codes=codes))
    teller.tell(CUSTOMER, bodies.customer(2, "camille@example.org", at=DAY))
    line = bodies.item(450, BOX) | {"meta_data": [{"id": 1, **chosen}]}
    teller.tell(SUBSCRIPTION, bodies.subscription(45, at=DAY, line_items=[line]))
    return teller


CHOSEN = {"key": "pa_size", "value": "petite", "display_key": "Taille", "display_value": "Petite"}


def test_a_choice_holds_from_the_first_cycle_on(company_id: UUID) -> None:
    teller = subscribe(company_id, CHOSEN, {"PA_size": "taille"})
    for _ in range(2):
        teller.look(SUBSCRIPTION, 45)
    rows = db.session.execute(select(PreferenceValue.effective_from_cycle, PreferenceValue.value)).all()
    assert [tuple(row) for row in rows] == [(0, "Petite")]


def test_what_is_no_choice_is_listed(company_id: UUID) -> None:
    subscribe(company_id, CHOSEN | {"value": "enorme", "display_value": "Énorme"}, {"Taille": "taille"})
    assert db.session.scalars(select(PreferenceValue)).all() == []
    row = db.session.scalars(select(WooCommerceResource).filter_by(kind=SUBSCRIPTION)).one()
    assert row.review == [
        {
            "code": "MISMATCH",
            "sentence": "«\u00a0Énorme\u00a0» n’est pas un choix de la préférence «\u00a0Taille\u00a0».",
        }
    ]


def test_what_the_table_does_not_name_is_left_alone(company_id: UUID) -> None:
    subscribe(company_id, CHOSEN, {})
    assert db.session.scalars(select(PreferenceValue)).all() == []
