"""Whatever a shop says, in whatever order and however often: the same rows as in the order in which it happened.

And the same as from what the shop shows in the end, as a pull brings it: deliveries and pulls may be mixed at will.
"""

from datetime import timedelta
from random import Random
from uuid import UUID

import pytest

from tests import factories
from tests.examples import some
from tests.services.woocommerce.histories import History, Said
from tests.services.woocommerce.telling import Picture, Teller, make_shop, picture
from webapp import tenancy


def lived(seed: int) -> History:
    chance = Random(seed)
    history = History(chance)
    history.live(chance.randint(3, 25))
    history.now += timedelta(minutes=15)  # nothing of it is too new to be believed
    return history


def come_to(history: History, words: list[Said]) -> Picture:
    """What the words come to, told one after the other to an organisation of its own."""
    with tenancy.organisation(factories.OrganisationFactory().id):
        teller = Teller(make_shop(factories.CompanyFactory().id), at=history.now)
        for kind, body, _ in words:
            teller.tell(kind, body)
        return picture(teller.shop)


@pytest.mark.parametrize("seed", range(some(40)))
def test_any_order(organisation_id: UUID, seed: int) -> None:
    history = lived(seed)
    in_order = come_to(history, history.words)
    assert come_to(history, history.words[::-1]) == in_order
    told = history.words + history.truth() + history.chance.sample(history.words, len(history.words) // 3)
    history.chance.shuffle(told)
    assert come_to(history, told) == in_order
    assert come_to(history, history.truth()) == in_order
