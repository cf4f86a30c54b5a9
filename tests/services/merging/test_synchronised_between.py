"""Two clients who were merged, told of by WinLeadPlus or a shop, and parted: each has what is said of it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from tests import factories
from tests.conftest import NOW, Cast
from tests.services.merging.test_merging import items, merged, owners, unmerge
from tests.services.winleadplus.conftest import Sync
from tests.services.winleadplus.looking import client_of
from tests.services.winleadplus.raw import IBAN, OTHER_IBAN, REP, contract, first
from tests.services.woocommerce.bodies import customer
from tests.services.woocommerce.deliveries import deliver, make_signed_shop
from tests.upstream import Upstream
from webapp import clock, crypto
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.operations import ItemAction, Operation, OperationItem, OperationState
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.services.clients import editing, origins
from webapp.services.clients.fields import ClientFields
from webapp.services.operations import deciding, undoing, undoing_syncs
from webapp.services.operations.carry_out import carry_out
from webapp.services.rights import commands
from webapp.services.winleadplus.plans import CLIENT_FIELDS
from webapp.services.woocommerce import handling

LILLE = {"adresse": "12 rue des Lilas", "ville": "Lille", "codePostal": "59000"}
ARRAS = {"adresse": "3 place des Héros", "ville": "Arras", "codePostal": "62000"}
LENS = {"adresse": "1 rue de la Paix", "ville": "Lens", "codePostal": "62300"}
CARD = {"number": "880692310285"}
OWN_CARD = {"number": "950175101222"}


def account(iban: str, *, mandate: bool = False) -> dict[str, Any]:
    return {"iban": iban, "bic": "PSSTFRPPLIL", "mandatSepa": mandate}


@pytest.fixture
def pair(cast: Cast, winleadplus: Upstream, sync: Sync) -> tuple[Client, Client]:
    """Marie of Lille, and Louis of Arras, who is merged into her."""
    winleadplus.serve([marie(), louis()])
    sync()
    return client_of(1), client_of(2)


def marie(**more: Any) -> dict[str, Any]:
    return first(1, **({"nom": "Marchand", "prenom": "Marie", "telephone": "0612345601"} | LILLE | more))


def louis(**more: Any) -> dict[str, Any]:
    return first(2, **({"nom": "Legrand", "prenom": "Louis", "telephone": "0612345602"} | ARRAS | more))


def later(days: int = 1) -> None:
    clock.start_at(NOW + timedelta(days=days))


def part(operation: Operation, cast: Cast) -> Operation:
    later(5)
    undo = unmerge(operation.id, cast.admin)
    assert (undo.state, undo.error) == (OperationState.DONE, None)
    db.session.expire_all()
    return undo


def fields(client: Client) -> dict[str, Any]:
    return {name: getattr(client, name) for name in CLIENT_FIELDS}


def test_each_has_what_was_said_of_it_as_if_there_had_been_no_merge(
    cast: Cast, pair: tuple[Client, Client], winleadplus: Upstream, sync: Sync
) -> None:
    kept, other = pair
    before = fields(kept)
    operation = merged(kept, other, by=cast.admin)
    winleadplus.serve([marie(), louis(telephone="0699999999", **LENS)])
    later()
    assert sync().updated == 1
    assert (kept.phone, kept.city) == ("+33699999999", "Lens")
    undo = part(operation, cast)
    assert fields(kept) == before
    assert (other.phone, other.city, other.address_line1) == ("+33699999999", "Lens", "1 rue de la Paix")
    assert other.archived_at is None
    told = {item.label: (item.reason, item.after) for item in items(undo.id, ItemAction.LINK) if item.row_id}
    assert (
        told[other.full_name][0]
        == "Redevient une fiche, avec ce que WinLeadPlus ou sa boutique en ont dit depuis la fusion."
    )
    assert told[other.full_name][1]["phone"] == "+33699999999"
    assert told[kept.full_name][1]["phone"] == before["phone"]
    later(6)
    assert sync().updated == 0


def test_what_was_said_of_both_goes_to_each(
    cast: Cast, pair: tuple[Client, Client], winleadplus: Upstream, sync: Sync
) -> None:
    kept, other = pair
    operation = merged(kept, other, by=cast.admin)
    for days, cities in ((1, ("Dax", "Pau")), (2, ("Tours", "Caen")), (3, ("Nice", "Albi"))):
        winleadplus.serve([marie(ville=cities[0]), louis(ville=cities[1])])
        later(days)
        assert sync().updated == 2
    undo = part(operation, cast)
    assert (kept.city, other.city) == ("Nice", "Albi")
    staying = items(undo.id, ItemAction.NOTHING)
    assert [item.label for item in staying] == ["6 événements de l’historique"]


def test_of_who_stays_with_its_own_values_nothing_is_said_to_go(
    cast: Cast, pair: tuple[Client, Client], winleadplus: Upstream, sync: Sync
) -> None:
    kept, other = pair
    operation = merged(kept, other, by=cast.admin)
    for days, own in enumerate(({}, {"ville": "Tours", "identityCard": OWN_CARD}), start=1):
        winleadplus.serve([marie(**own), louis(ville="Caen", identityCard=CARD)])
        later(days)
        assert sync().updated == 1
    assert kept.city == "Tours"
    undo = part(operation, cast)
    assert (kept.city, other.city) == ("Tours", "Caen")
    reasons = {item.row_id: item.reason for item in items(undo.id, ItemAction.LINK) if item.row_id}
    assert reasons[kept.id] == "Fiche qui reste."
    assert kept.identity_card is not None
    assert OWN_CARD["number"] in crypto.unseal(kept.identity_card, place=kept.place("identity_card"))


def test_of_three_each_has_its_own(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    def third(**more: Any) -> dict[str, Any]:
        return first(3, **({"nom": "Perrin", "prenom": "Paul", "telephone": "0612345603"} | LENS | more))

    winleadplus.serve([marie(), louis(), third()])
    sync()
    kept, other, last = (client_of(number) for number in (1, 2, 3))
    operation = merged(kept, other, last, by=cast.admin)
    for days, (of_louis, of_third) in enumerate((("Pau", "Lens"), ("Pau", "Dax"), ("Albi", "Dax")), start=1):
        winleadplus.serve([marie(), louis(ville=of_louis), third(ville=of_third)])
        later(days)
        assert sync().updated == 1
    assert kept.city == "Albi"
    part(operation, cast)
    assert [client.city for client in (kept, other, last)] == ["Lille", "Albi", "Dax"]


def test_merges_upon_merges_are_told_apart_too(
    cast: Cast, pair: tuple[Client, Client], winleadplus: Upstream, sync: Sync
) -> None:
    kept, other = pair
    outer = factories.ClientFactory(city="Metz")
    db.session.commit()
    inner_merge = merged(kept, other, by=cast.admin)
    winleadplus.serve([marie(), louis(ville="Pau")])
    later(1)
    sync()
    outer_merge = merged(outer, kept, by=cast.admin)
    winleadplus.serve([marie(), louis(ville="Albi")])
    later(2)
    sync()
    assert outer.city == "Albi"
    part(outer_merge, cast)
    assert (outer.city, kept.city) == ("Metz", "Albi")
    part(inner_merge, cast)
    assert (kept.city, other.city) == ("Lille", "Albi")


def test_what_the_merge_had_taken_over_goes_back_too(
    cast: Cast, pair: tuple[Client, Client], winleadplus: Upstream, sync: Sync
) -> None:
    kept, other = pair
    operation = merged(kept, other, by=cast.admin, values={"address": other.id, "phone": other.id})
    assert kept.city == "Arras"
    winleadplus.serve([marie(), louis(**LENS)])
    later()
    sync()
    part(operation, cast)
    assert (kept.city, kept.postcode, kept.phone) == ("Lille", "59000", "+33612345601")
    assert (other.city, other.phone) == ("Lens", "+33612345602")


def test_of_a_value_that_is_what_it_was_before_the_merge_nothing_is_said(
    cast: Cast, pair: tuple[Client, Client], winleadplus: Upstream, sync: Sync
) -> None:
    kept, other = pair
    operation = merged(kept, other, by=cast.admin, values={"phone": other.id})
    later(1)
    winleadplus.serve([marie(telephone="0612345699"), louis()])
    sync()
    later(2)
    winleadplus.serve([marie(), louis()])
    sync()
    undo = part(operation, cast)
    assert kept.phone == "+33612345601"
    assert [item for item in items(undo.id, ItemAction.NOTHING) if item.row_id] == []


def test_what_a_person_wrote_stays(cast: Cast, pair: tuple[Client, Client], winleadplus: Upstream, sync: Sync) -> None:
    kept, other = pair
    operation = merged(kept, other, by=cast.admin)

    def write(**values: str) -> None:
        new = ClientFields(**ClientFields.of(kept).__dict__ | values)
        editing.edit_client(
            kept.id, new, version=kept.version, bank=None, confirmed=True, by=cast.admin, at=clock.now()
        )

    later(1)
    write(city="Bordeaux", phone="+33611111111")
    winleadplus.serve([marie(), louis(ville="Lens", telephone="0699999999")])
    later(2)
    sync()
    later(3)
    write(phone="+33622222222")
    part(operation, cast)
    assert kept.city == "Bordeaux"  # as before WinLeadPlus wrote over it
    assert kept.phone == "+33622222222"  # as somebody wrote last
    assert (other.city, other.phone) == ("Lens", "+33699999999")


def test_contracts_accounts_and_mandates_go_along(
    cast: Cast, pair: tuple[Client, Client], winleadplus: Upstream, sync: Sync
) -> None:
    kept, other = pair
    operation = merged(kept, other, by=cast.admin)
    news = {"contrats": [contract("2WNC"), contract("NEUF2")], "informationsPaiement": [account(IBAN, mandate=True)]}
    hers = {"contrats": [contract("1WNC"), contract("NEUF1")], "informationsPaiement": [account(OTHER_IBAN)]}
    winleadplus.serve([marie(**hers), louis(**news)])
    later()
    sync()
    assert owners("bank_accounts") == owners("contracts") == {kept.id}
    undo = part(operation, cast)

    def of(table: str, column: str) -> dict[UUID, set[str]]:
        rows = db.session.execute(text(f"SELECT client_id, {column} FROM {table}")).all()
        return {client: {value for owner, value in rows if owner == client} for client in (kept.id, other.id)}

    assert of("contracts", "reference") == {kept.id: {"1WNC", "NEUF1"}, other.id: {"2WNC", "NEUF2"}}
    assert {key: len(value) for key, value in of("bank_accounts", "iban_masked").items()} == {kept.id: 1, other.id: 1}
    assert owners("mandates") == {other.id}
    staying = {item.label for item in items(undo.id, ItemAction.NOTHING)}
    assert {"1 contrat", "1 compte bancaire", "2 événements de l’historique"} <= staying
    assert "1 mandat" not in staying


def test_a_commercial_goes_along(cast: Cast, pair: tuple[Client, Client], winleadplus: Upstream, sync: Sync) -> None:
    kept, other = pair
    second = factories.CommercialFactory(external_id=REP)
    db.session.commit()
    operation = merged(kept, other, by=cast.admin)
    before = kept.commercial_id
    winleadplus.serve([marie(), louis(commercialId=REP)])
    later()
    sync()
    assert kept.commercial_id == second.id
    part(operation, cast)
    assert (kept.commercial_id, other.commercial_id) == (before, second.id)


def test_an_identity_card_goes_to_whom_it_is_of(
    cast: Cast, pair: tuple[Client, Client], winleadplus: Upstream, sync: Sync
) -> None:
    kept, other = pair
    operation = merged(kept, other, by=cast.admin)
    winleadplus.serve([marie(), louis(identityCard=CARD)])
    later()
    sync()
    assert kept.identity_card is not None
    undo = part(operation, cast)
    assert "s’en va" in next(item.reason or "" for item in items(undo.id, ItemAction.LINK) if item.row_id == kept.id)
    assert kept.identity_card is None
    assert other.identity_card is not None
    assert "880692310285" in crypto.unseal(other.identity_card, place=other.place("identity_card"))


def test_a_synchronisation_of_the_time_between_is_undone_on_no_other_card(
    cast: Cast, pair: tuple[Client, Client], winleadplus: Upstream, sync: Sync
) -> None:
    kept, other = pair
    operation = merged(kept, other, by=cast.admin)
    winleadplus.serve([marie(), louis(ville="Lens")])
    later()
    run = sync()
    part(operation, cast)
    undo_id = undoing_syncs.plan_undo(run.id, by=cast.admin, at=clock.now())
    carry_out(cast.organisation.id, undo_id)
    planned = db.session.scalars(select(OperationItem).where(OperationItem.operation_id == undo_id))
    assert {item.action for item in planned} <= {ItemAction.NOTHING}
    assert (kept.city, other.city) == ("Lille", "Lens")


def test_who_is_erased_is_gone_from_what_the_other_card_went_through(
    cast: Cast, pair: tuple[Client, Client], winleadplus: Upstream, sync: Sync
) -> None:
    kept, other = pair
    operation = merged(kept, other, by=cast.admin)
    winleadplus.serve([marie(), louis(adresse="7 rue Secrète")])
    later()
    sync()
    part(operation, cast)
    winleadplus.serve([marie(ville="Dax"), louis(adresse="7 rue Secrète")])
    later(6)
    sync()
    commands.erase(other.id, typed=other.full_name, version=other.version, by=cast.admin, at=clock.now())
    told = db.session.scalars(select(TimelineEvent.changes).where(TimelineEvent.client_id == kept.id)).all()
    assert "Secrète" not in str(told)
    assert "Dax" in str(told)  # what was said after they were parted is of the other alone


@pytest.mark.parametrize("has_both", [False, True])
def test_what_a_shop_said_goes_along_unless_both_have_an_account_there(
    cast: Cast, winleadplus: Upstream, has_both: bool
) -> None:
    make_signed_shop(factories.default_company().id)

    def tell(*customers: dict[str, Any]) -> None:
        for each in customers:
            deliver(each, "customer.updated")
        handling.handle_due(cast.organisation.id)
        db.session.expire_all()

    def account(number: int, city: str) -> dict[str, Any]:
        return customer(number, f"c{number}@exemple.fr", at=clock.now(), name=f"Nom{number}", billing={"city": city})

    tell(account(1, "Arras"), *([account(2, "Lille")] if has_both else []))
    other = client_named("Nom1")
    kept = client_named("Nom2") if has_both else factories.ClientFactory(city="Lille")
    db.session.commit()
    later()
    operation = merged(kept, other, by=cast.admin)
    later(2)
    tell(account(1, "Lens"))
    assert kept.city == "Lens"
    part(operation, cast)
    assert (kept.city, other.city) == (("Lens", "Arras") if has_both else ("Lille", "Lens"))


def client_named(first_name: str) -> Client:
    return db.session.scalars(select(Client).where(Client.first_name == first_name)).one()


def test_a_plan_that_is_given_up_changes_nothing(
    cast: Cast, pair: tuple[Client, Client], winleadplus: Upstream, sync: Sync
) -> None:
    kept, other = pair
    operation = merged(kept, other, by=cast.admin)
    winleadplus.serve([marie(), louis(ville="Lens")])
    later()
    sync()
    undo_id = undoing.plan_undo(operation.id, by=cast.admin, at=clock.now())
    carry_out(cast.organisation.id, undo_id)
    deciding.cancel(undo_id, by=cast.admin, at=clock.now())
    step = origins.find_origin(kept.id, "city").steps[0]
    assert (step.event.kind, step.after) == (EventKind.CLIENT_SYNCED, "Lens")
    part(operation, cast)
    assert (kept.city, other.city) == ("Lille", "Lens")
