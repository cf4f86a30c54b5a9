"""Which client a prospect is: its own, else the one with its e-mail, else its telephone; never a guess."""

from uuid import UUID, uuid4

import pytest

from tests import factories
from tests.conftest import Cast
from tests.services.winleadplus.conftest import Sync, counts
from tests.services.winleadplus.looking import all_clients, client_of, contract, events, items, reasons
from tests.services.winleadplus.raw import contract as raw_contract
from tests.services.winleadplus.raw import first
from tests.upstream import Upstream
from webapp import clock, tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.clients import Source
from webapp.models.runs import RunStatus
from webapp.models.winleadplus import ItemKind, SyncItem
from webapp.services.winleadplus import config, existing
from webapp.services.winleadplus import items as open_items
from webapp.services.winleadplus.items import ItemRefusedError, ItemSettledError

NARROW = "\u202f"


def _conflict(winleadplus: Upstream, sync: Sync) -> tuple[SyncItem, UUID, UUID]:
    """Two clients with the prospect's e-mail."""
    one = factories.ClientFactory(email="twice@example.org")
    two = factories.ClientFactory(email="twice@example.org")
    db.session.commit()
    winleadplus.serve([first(1, email="twice@example.org")])
    run = sync()
    assert (run.status, counts(run), run.conflicts) == (RunStatus.PARTIAL, (0, 0, 0), 1)
    (item,) = items(run, ItemKind.CONFLICT)
    return item, one.id, two.id


def test_the_same_email_links_and_fills_blanks_only(winleadplus: Upstream, sync: Sync) -> None:
    mine = factories.ClientFactory(email="karim.1@example.org", city="Tourcoing", first_name="", postcode=None)
    db.session.commit()
    winleadplus.serve([first(1, telephone="0639980252")])
    assert counts(sync()) == (0, 1, 0)
    client = client_of(1)
    assert (client.id, client.source, client.city) == (mine.id, None, "Tourcoing")
    assert (client.first_name, client.postcode, client.phone) == ("Karim", "59000", "+33639980252")
    assert client.last_name == mine.last_name
    assert contract("1WNC").client_id == mine.id
    assert contract("1WNC").source is Source.WINLEADPLUS
    kind, changes = events(client.id)[-1]
    assert kind == "client_linked"
    assert changes["first_name"] == ["", "Karim"]


def test_after_the_link_what_changes_upstream_is_applied(winleadplus: Upstream, sync: Sync) -> None:
    factories.ClientFactory(email="karim.1@example.org", city="Tourcoing")
    db.session.commit()
    winleadplus.serve([first(1)])
    sync()
    winleadplus.serve([first(1, ville="Roubaix")])
    assert counts(sync()) == (0, 1, 0)
    assert client_of(1).city == "Roubaix"


def test_the_same_telephone_links_where_no_email_does(winleadplus: Upstream, sync: Sync) -> None:
    mine = factories.ClientFactory(email="other@example.org", phone="+33639980252")
    db.session.commit()
    winleadplus.serve([first(1, telephone="06 39 98 02 52")])
    assert counts(sync()) == (0, 1, 0)
    assert client_of(1).id == mine.id


def test_the_email_decides_before_the_telephone(winleadplus: Upstream, sync: Sync) -> None:
    by_email = factories.ClientFactory(email="karim.1@example.org")
    factories.ClientFactory(phone="+33639980252")
    db.session.commit()
    winleadplus.serve([first(1, telephone="06 39 98 02 52")])
    sync()
    assert client_of(1).id == by_email.id


def test_a_couple_with_one_email_and_telephone_is_two_clients(winleadplus: Upstream, sync: Sync) -> None:
    shared = {"email": "couple@example.org", "telephone": "0639980018"}
    winleadplus.serve([first(1, **shared), first(2, **shared)])
    assert counts(sync()) == (2, 0, 0)
    winleadplus.serve([first(1, **shared), first(2, **shared), first(3, **shared)])
    assert counts(sync()) == (1, 0, 2)


def test_of_a_couple_only_one_is_linked_to_the_client_that_is_here(winleadplus: Upstream, sync: Sync) -> None:
    mine = factories.ClientFactory(email="couple@example.org")
    db.session.commit()
    winleadplus.serve([first(1, email="couple@example.org"), first(2, email="couple@example.org")])
    assert counts(sync()) == (1, 1, 0)
    assert client_of(1).id == mine.id


def test_another_organisations_client_is_no_candidate(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    with tenancy.organisation(cast.other_organisation.id):
        factories.ClientFactory(email="karim.1@example.org")
        db.session.commit()
    winleadplus.serve([first(1)])
    assert counts(sync()) == (1, 0, 0)


def test_two_candidates_are_a_conflict_and_not_a_guess(winleadplus: Upstream, sync: Sync) -> None:
    item, one, two = _conflict(winleadplus, sync)
    assert set(item.candidate_ids) == {one, two}
    assert item.reason == f"2 clients ont le même e-mail ou le même téléphone{NARROW}: choisissez le bon."
    assert (item.label, len(all_clients())) == ("HAMDANI Karim", 2)


def test_a_conflict_is_told_anew_by_each_run_and_stands_open_once(winleadplus: Upstream, sync: Sync) -> None:
    item, *_ = _conflict(winleadplus, sync)
    run = sync()
    assert run.conflicts == 1
    db.session.refresh(item)
    assert item.resolved_at is not None
    assert items(run, ItemKind.CONFLICT)[0].resolved_at is None


def test_a_conflict_ends_by_linking(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    item, _, two = _conflict(winleadplus, sync)
    assert open_items.link(item.id, two, by=cast.commercial.id, at=clock.now()) == two
    assert client_of(1).id == two
    db.session.refresh(item)
    assert (item.resolved_by_id, item.client_id) == (cast.commercial.id, two)
    assert contract("1WNC").client_id == two
    assert counts(sync()) == (0, 0, 1)


def test_a_conflict_ends_by_creating(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    item, one, two = _conflict(winleadplus, sync)
    created = open_items.create(item.id, by=cast.commercial.id, at=clock.now())
    assert created not in (one, two)
    assert (client_of(1).id, client_of(1).source) == (created, Source.WINLEADPLUS)
    run = sync()
    assert (run.status, counts(run)) == (RunStatus.SUCCESS, (0, 0, 1))


def test_an_item_is_ended_once(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    item, one, two = _conflict(winleadplus, sync)
    open_items.link(item.id, one, by=cast.commercial.id, at=clock.now())
    with pytest.raises(ItemSettledError, match="déjà été traité"):
        open_items.link(item.id, two, by=cast.commercial.id, at=clock.now())
    with pytest.raises(ItemSettledError):
        open_items.create(item.id, by=cast.commercial.id, at=clock.now())


def test_a_client_that_is_another_prospect_cannot_be_linked(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(9)])
    sync()
    taken = client_of(9).id
    item, *_ = _conflict(winleadplus, sync)
    with pytest.raises(ItemRefusedError, match="déjà rattaché au prospect 9"):
        open_items.link(item.id, taken, by=cast.commercial.id, at=clock.now())
    db.session.refresh(item)
    assert item.resolved_at is None


def test_a_prospect_linked_meanwhile_stays_with_its_client(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    item, one, two = _conflict(winleadplus, sync)
    run = sync(dry_run=True)
    (planned,) = items(run, ItemKind.CONFLICT)
    open_items.link(item.id, one, by=cast.commercial.id, at=clock.now())
    db.session.refresh(planned)
    assert planned.resolved_at is not None
    planned.resolved_at = None
    db.session.commit()
    with pytest.raises(ItemRefusedError, match="déjà rattaché à un autre client"):
        open_items.link(planned.id, two, by=cast.commercial.id, at=clock.now())


def test_items_and_clients_of_others_are_not_found(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    item, one, _ = _conflict(winleadplus, sync)
    with tenancy.organisation(cast.other_organisation.id):
        theirs = factories.ClientFactory()
        db.session.commit()
        for act in (open_items.create, open_items.retry):
            with pytest.raises(NotFoundError):
                act(item.id, by=cast.outsider.id, at=clock.now())
        with pytest.raises(NotFoundError):
            open_items.link(item.id, one, by=cast.outsider.id, at=clock.now())
    for client_id in (theirs.id, uuid4()):
        with pytest.raises(NotFoundError):
            open_items.link(item.id, client_id, by=cast.commercial.id, at=clock.now())


def test_retrying_works_once_the_reason_is_gone(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, contrats=[raw_contract("R")]), first(2, contrats=[raw_contract("R")])])
    run = sync()
    assert (counts(run), run.errors) == ((1, 0, 0), 1)
    (item,) = items(run, ItemKind.ERROR)
    assert item.reason == "La référence de contrat R appartient déjà à un autre client."
    with pytest.raises(ItemRefusedError, match="appartient déjà"):
        open_items.retry(item.id, by=cast.commercial.id, at=clock.now())
    db.session.delete(contract("R"))
    db.session.commit()
    created = open_items.retry(item.id, by=cast.commercial.id, at=clock.now())
    assert client_of(2).id == created == contract("R").client_id
    assert events(created) == [("client_imported", {})]


def test_retrying_finds_the_conflict_that_stands(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    item, one, two = _conflict(winleadplus, sync)
    with pytest.raises(ItemRefusedError, match="choisissez le bon"):
        open_items.retry(item.id, by=cast.commercial.id, at=clock.now())
    db.session.delete(db.session.get_one(factories.Client, (cast.organisation.id, one)))
    db.session.commit()
    assert open_items.retry(item.id, by=cast.commercial.id, at=clock.now()) == two


@pytest.mark.parametrize("raw", ["pas un prospect", {"idProspect": 5}, {"idProspect": "x", "nom": "N"}])
def test_retrying_what_cannot_be_read_repeats_the_reason(
    cast: Cast, winleadplus: Upstream, sync: Sync, raw: object
) -> None:
    winleadplus.serve([raw])
    (item,) = items(sync(), ItemKind.ERROR)
    with pytest.raises(ItemRefusedError) as refusal:
        open_items.retry(item.id, by=cast.commercial.id, at=clock.now())
    assert refusal.value.message == item.reason


def test_a_row_that_is_no_json_has_nothing_to_retry(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.body = b'[{"idProspect": undefined}]'
    (item,) = items(sync(), ItemKind.ERROR)
    assert item.reason == "Ce prospect n’est pas lisible (JSON non valide)."
    with pytest.raises(ItemRefusedError, match="n’est pas lisible"):
        open_items.retry(item.id, by=cast.commercial.id, at=clock.now())


def test_a_prospect_too_large_to_keep_asks_for_a_new_run(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(None, nom="A" * 600_000)])  # type: ignore[arg-type]
    (item,) = items(sync(), ItemKind.ERROR)
    assert item.payload is None
    with pytest.raises(ItemRefusedError, match="relancez la synchronisation"):
        open_items.retry(item.id, by=cast.commercial.id, at=clock.now())


def test_retrying_a_prospect_that_is_now_ignored_ends_it(cast: Cast, winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, contrats=[])])
    run = sync()
    assert reasons(run, ItemKind.SKIPPED) == {"1": f"Aucun contrat{NARROW}: ce prospect n’est pas importé."}
    (item,) = items(run, ItemKind.SKIPPED)
    with pytest.raises(ItemRefusedError, match="relancez"):
        open_items.retry(item.id, by=cast.commercial.id, at=clock.now())


def test_retrying_what_is_now_to_be_ignored_ends_it_without_a_client(
    cast: Cast, winleadplus: Upstream, sync: Sync
) -> None:
    config.change(import_without_contracts=True)
    for _ in range(2):
        factories.ClientFactory(email="twice@example.org")
    db.session.commit()
    winleadplus.serve([first(1, email="twice@example.org", contrats=[])])
    (item,) = items(sync(), ItemKind.CONFLICT)
    config.change(import_without_contracts=False)
    assert open_items.retry(item.id, by=cast.commercial.id, at=clock.now()) is None
    db.session.refresh(item)
    assert (item.resolved_at is None, item.client_id) == (False, None)


def test_a_prospect_that_a_run_writes_at_the_same_moment_is_left_to_it(
    cast: Cast, winleadplus: Upstream, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, one, _ = _conflict(winleadplus, sync)
    open_items.link(item.id, one, by=cast.commercial.id, at=clock.now())
    item.resolved_at = None
    db.session.commit()
    monkeypatch.setattr(existing, "load", lambda *_: existing.Standing())
    with pytest.raises(ItemRefusedError, match="vient d’être traité ailleurs"):
        open_items.create(item.id, by=cast.commercial.id, at=clock.now())
    assert client_of(1).id == one
