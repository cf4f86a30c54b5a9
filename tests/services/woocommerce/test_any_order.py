"""Whatever a shop says, in whatever order and however often: the same rows as in the order in which it happened.

And the same as from what the shop shows in the end, as a pull brings it: deliveries and pulls may be mixed at will.
"""

from datetime import timedelta
from random import Random
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import factories
from tests.examples import some
from tests.services.woocommerce.deliveries import deliver, make_signed_shop
from tests.services.woocommerce.histories import History, Said
from tests.services.woocommerce.telling import Picture, Teller, make_shop, picture
from webapp import clock, tenancy
from webapp.services.woocommerce import handling


def lived(seed: int) -> History:
    """A shop that has lived for a while."""
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


def come_to_by_lots(history: History, words: list[Said], size: int) -> Picture:
    """What the words come to where ``size`` of them are delivered, and handled together, at a time."""
    organisation_id = factories.OrganisationFactory().id
    clock.start_at(history.now)
    with tenancy.organisation(organisation_id):
        shop = make_signed_shop(factories.CompanyFactory().id)
        for first in range(0, len(words), size):
            for kind, body, _ in words[first : first + size]:
                deliver(body, f"{kind.value}.updated", shop_id=shop.id)
            handling.handle_due(organisation_id)
        return picture(shop)


A_FEW_HISTORIES = settings(
    max_examples=some(24),
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@given(seed=st.integers(0, 2**32))
@A_FEW_HISTORIES
def test_any_order(organisation_id: UUID, seed: int) -> None:
    history = lived(seed)
    in_order = come_to(history, history.words)
    told = history.words + history.truth() + history.chance.sample(history.words, len(history.words) // 3)
    history.chance.shuffle(told)
    for words in (history.words[::-1], told, history.truth()):
        assert come_to(history, words) == in_order


@given(seed=st.integers(0, 2**32))
@A_FEW_HISTORIES
def test_together_or_one_by_one(organisation_id: UUID, seed: int) -> None:
    history = lived(seed)
    in_order = come_to(history, history.words)
    told = history.chance.sample(history.words, len(history.words))
    for words, size in ((history.words, len(history.words)), (told, len(told)), (told, history.chance.randint(2, 9))):
        assert come_to_by_lots(history, words, size) == in_order
