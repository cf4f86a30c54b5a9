"""The most recent change wins: what changed upstream is applied, what changed here alone stays."""

from datetime import date
from decimal import Decimal

from sqlalchemy import select

from tests.services.winleadplus.conftest import Sync, counts
from tests.services.winleadplus.looking import accounts_of, client_of, contract, events, items, lines_of, reasons
from tests.services.winleadplus.raw import IBAN, OTHER_IBAN, first, second
from tests.services.winleadplus.raw import contract as raw_contract
from tests.upstream import Upstream
from webapp.extensions import db
from webapp.models.banking import Mandate, MandateStatus
from webapp.models.clients import ClientStatus, Source
from webapp.models.contracts import ContractStatus
from webapp.models.runs import RunStatus
from webapp.models.winleadplus import ItemKind, SyncMapping
from webapp.services.winleadplus import field_changes
from webapp.services.winleadplus.field_changes import Change

NARROW = "\u202f"


def test_a_change_upstream_is_applied_with_its_before_image_and_told(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1), first(2)])
    sync()
    winleadplus.serve([first(1, ville="Roubaix"), first(2)])
    run = sync()
    assert counts(run) == (0, 1, 1)
    client = client_of(1)
    assert client.city == "Roubaix"
    (item,) = items(run, ItemKind.UPDATED)
    assert field_changes.changes_of(item) == [Change("Ville", "Lille", "Roubaix")]
    assert events(client.id)[-1] == ("client_synced", {"city": ["Lille", "Roubaix"]})
    assert client.version == 2


def test_a_local_edit_survives_until_upstream_changes_that_field(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1)])
    sync()
    client = client_of(1)
    client.city, client.email = "Tourcoing", "nouvelle@example.org"
    db.session.commit()
    winleadplus.serve([first(1, codePostal="59100")])
    sync()
    client = client_of(1)
    assert (client.city, client.email, client.postcode) == ("Tourcoing", "nouvelle@example.org", "59100")
    winleadplus.serve([first(1, codePostal="59100", ville="Roubaix")])
    assert counts(sync()) == (0, 1, 0)
    client = client_of(1)
    assert (client.city, client.email) == ("Roubaix", "nouvelle@example.org")


def test_what_upstream_says_and_we_have_already_is_no_update(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1)])
    sync()
    client_of(1).city = "Roubaix"
    db.session.commit()
    winleadplus.serve([first(1, ville="Roubaix")])
    assert counts(sync()) == (0, 0, 1)
    assert counts(sync()) == (0, 0, 1)
    assert client_of(1).version == 1


def test_keys_in_another_order_and_fields_we_do_not_know_change_nothing(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1)])
    sync()
    mapping = select(SyncMapping.synced_at).where(SyncMapping.external_id == "1")
    before = db.session.scalar(mapping)
    winleadplus.serve([dict(reversed(first(1).items()))])
    assert counts(sync()) == (0, 0, 1)
    assert db.session.scalar(mapping) == before
    winleadplus.serve([first(1, couleur="bleu")])
    assert counts(sync()) == (0, 0, 1)


def test_a_value_emptied_upstream_is_emptied_here(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, telephone="0639980252")])
    sync()
    winleadplus.serve([first(1, telephone=None, prenom="")])
    assert counts(sync()) == (0, 1, 0)
    client = client_of(1)
    assert (client.phone, client.first_name) == (None, "")


def test_a_value_broken_upstream_empties_nothing(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, telephone="0639980252")])
    sync()
    broken = first(1, telephone="voir avec sa femme", contrats=[raw_contract("1WNC", montant="gratuit")])
    winleadplus.serve([broken])
    run = sync()
    assert (run.status, counts(run), run.warnings) == (RunStatus.SUCCESS, (0, 0, 1), 1)
    assert client_of(1).phone == "+33639980252"
    assert contract("1WNC").amount == Decimal("2.20")
    winleadplus.serve([first(1, telephone="0639980252")])
    assert counts(sync()) == (0, 0, 1)


def test_a_broken_price_or_offer_leaves_the_lines_as_they_are(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1)])
    sync()
    for lines in ([{"nom": "Télécâble Sat", "prix_base": "gratuit"}], [{"nom": ["?"], "prix_base": 2.2}]):
        winleadplus.serve([first(1, abonnements=lines)])
        assert counts(sync()) == (0, 0, 1)
    assert [(line.label, line.unit_price) for line in lines_of("1WNC")] == [("Télécâble Sat", Decimal("2.2000"))]


def test_numbers_beyond_what_the_quick_way_can_hash_are_compared_too(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve_text(f'[{{"idProspect": 1, "nom": "X", "contrats": [{{"titre": "R"}}], "n": {2**80}}}]')
    assert counts(sync()) == (1, 0, 0)
    winleadplus.serve_text(f'[{{"nom": "X", "idProspect": 1, "contrats": [{{"titre": "R"}}], "n": {2**80}}}]')
    assert counts(sync()) == (0, 0, 1)


def test_a_contract_that_lost_its_reference_is_not_taken_for_vanished(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1)])
    sync()
    for unusable in (raw_contract(""), raw_contract("1WNC", statut=["?"])):
        winleadplus.serve([first(1, contrats=[unusable])])
        assert counts(sync()) == (0, 0, 1)
        assert (contract("1WNC").missing_since, contract("1WNC").status) == (None, ContractStatus.ACTIVE)
        assert client_of(1).status is ClientStatus.ACTIVE
    winleadplus.serve([first(1)])
    assert counts(sync()) == (0, 0, 1)


def test_contracts_change_field_by_field(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1)])
    sync()
    contract("1WNC").description = "Note du CRM"
    db.session.commit()
    changed = raw_contract("1WNC", statut="Résilié", montant=3.5, dateValidation="2026-03-01T10:00:00Z")
    winleadplus.serve([first(1, contrats=[changed], abonnements=[{"nom": "Nouvelle offre", "prix_base": 3.5}])])
    run = sync()
    found = contract("1WNC")
    assert (found.status, found.amount) == (ContractStatus.TERMINATED, Decimal("3.50"))
    assert (found.starts_on, found.description) == (date(2026, 3, 1), "Note du CRM")
    assert [(line.label, line.unit_price) for line in lines_of("1WNC")] == [("Nouvelle offre", Decimal("3.5000"))]
    (item,) = items(run, ItemKind.UPDATED)
    told = {change.label: (change.before, change.after) for change in field_changes.changes_of(item)}
    assert told == {
        "Statut": ("Actif", "Inactif"),
        f"Contrat 1WNC{NARROW}: statut": ("Actif", "Résilié"),
        f"Contrat 1WNC{NARROW}: montant": ("2,20\u00a0€", "3,50\u00a0€"),
        f"Contrat 1WNC{NARROW}: validation": (None, "01/03/2026"),
        f"Contrat 1WNC{NARROW}: début": ("06/02/2026", "01/03/2026"),
        f"Contrat 1WNC{NARROW}: lignes": (
            "Télécâble Sat (2,20\u00a0€)",
            "Nouvelle offre (3,50\u00a0€)",
        ),
    }


def test_a_contract_that_vanishes_is_flagged_and_unflagged_when_it_is_back(winleadplus: Upstream, sync: Sync) -> None:
    both = [raw_contract("A"), raw_contract("B", montant=5)]
    lines = [{"nom": "Deux", "prix_base": 2.2}, {"nom": "Cinq", "prix_base": 5}]
    winleadplus.serve([first(1, contrats=both, abonnements=lines)])
    sync()
    winleadplus.serve([first(1, contrats=both[:1], abonnements=lines[:1])])
    assert counts(sync()) == (0, 1, 0)
    assert contract("B").missing_since is not None
    assert contract("A").missing_since is None
    assert ("contract_missing", {"reference": [None, "B"]}) in events(client_of(1).id)
    winleadplus.serve([first(1, contrats=both[:1], abonnements=lines[:1], couleur="bleu")])
    assert counts(sync()) == (0, 0, 1)
    winleadplus.serve([first(1, contrats=both, abonnements=lines)])
    assert counts(sync()) == (0, 1, 0)
    assert contract("B").missing_since is None
    assert client_of(1).contracts_count == 2


def test_a_contract_without_lines_gets_those_that_come_later(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, abonnements=[])])
    sync()
    assert lines_of("1WNC") == []
    winleadplus.serve([first(1)])
    assert counts(sync()) == (0, 1, 0)
    assert [line.label for line in lines_of("1WNC")] == ["Télécâble Sat"]


def test_a_new_contract_joins_the_client(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1)])
    sync()
    more = [raw_contract("1WNC"), raw_contract("NEUF", montant=9)]
    lines = [*first(1)["abonnements"], {"nom": "Neuf", "prix_base": 9}]
    winleadplus.serve([first(1, contrats=more, abonnements=lines)])
    assert counts(sync()) == (0, 1, 0)
    client = client_of(1)
    assert (client.contracts_count, contract("NEUF").client_id) == (2, client.id)
    assert contract("NEUF").source is Source.WINLEADPLUS
    assert contract("NEUF").product_ids == [lines_of("NEUF")[0].product_id]


def test_a_new_iban_is_added_and_told_masked(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, informationsPaiement=[{"iban": IBAN}])])
    sync()
    winleadplus.serve([first(1, informationsPaiement=[{"iban": OTHER_IBAN, "BIC": "AGRIFRPPXXX", "mandatSepa": True}])])
    run = sync()
    client = client_of(1)
    assert {account.reveal_iban() for account in accounts_of(client.id)} == {IBAN, OTHER_IBAN}
    assert events(client.id)[-1] == ("client_synced", {"iban": [None, "FR•• •••• 0189"]})
    (item,) = items(run, ItemKind.UPDATED)
    assert field_changes.changes_of(item) == [Change("IBAN", None, "FR•• •••• 0189")]
    (mandate,) = db.session.scalars(select(Mandate))
    assert mandate.status is MandateStatus.DECLARED


def test_a_bic_and_a_mandate_that_come_later_complete_the_account(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, informationsPaiement=[{"iban": IBAN}])])
    sync()
    winleadplus.serve([first(1, informationsPaiement=[{"iban": IBAN, "BIC": "PSSTFRPPXXX", "mandatSepa": True}])])
    assert counts(sync()) == (0, 1, 0)
    (account,) = accounts_of(client_of(1).id)
    assert account.reveal_bic() == "PSSTFRPPXXX"
    assert db.session.scalars(select(Mandate.bank_account_id)).all() == [account.id]
    assert events(client_of(1).id)[-1] == ("client_synced", {"bic": [None, "••••"], "mandate": [None, "Déclaré"]})


def test_an_account_deleted_here_does_not_come_back_by_itself(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, informationsPaiement=[{"iban": IBAN}])])
    sync()
    for account in accounts_of(client_of(1).id):
        db.session.delete(account)
    db.session.commit()
    winleadplus.serve([first(1, informationsPaiement=[{"iban": IBAN}], ville="Roubaix")])
    sync()
    assert accounts_of(client_of(1).id) == []


def test_an_identity_card_is_encrypted_and_its_change_told_without_it(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([second(1, identityCard={"numero": "SECRET1"})])
    sync()
    winleadplus.serve([second(1, identityCard={"numero": "SECRET2"})])
    run = sync()
    client = client_of(1)
    assert client.identity_card is not None
    assert b"SECRET" not in client.identity_card
    place = client.place("identity_card")
    assert field_changes.crypto.unseal(client.identity_card, place=place) == '{"numero":"SECRET2"}'
    assert events(client.id)[-1] == ("client_synced", {"identity_card": ["••••", "••••"]})
    (item,) = items(run, ItemKind.UPDATED)
    assert item.before is not None
    assert b"SECRET" not in item.before
    assert field_changes.changes_of(item) == [Change("Pièce d’identité", "••••", "••••")]


def test_a_prospect_that_vanishes_is_flagged_and_unflagged_when_it_is_back(winleadplus: Upstream, sync: Sync) -> None:
    missing = select(SyncMapping.external_id).where(SyncMapping.missing_since.is_not(None))
    winleadplus.serve([first(1), first(2)])
    sync()
    winleadplus.serve([first(1)])
    run = sync()
    assert (run.status, counts(run)) == (RunStatus.SUCCESS, (0, 0, 1))
    assert db.session.scalars(missing).all() == ["2"]
    winleadplus.serve([first(1), first(2)])
    assert counts(sync()) == (0, 0, 2)
    assert db.session.scalars(missing).all() == []


def test_an_empty_list_flags_everybody_and_deletes_nobody(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1), first(2)])
    sync()
    winleadplus.serve([])
    assert (sync().status, client_of(1).city) == (RunStatus.SUCCESS, "Lille")
    assert len(db.session.scalars(select(SyncMapping).where(SyncMapping.missing_since.is_not(None))).all()) == 2


def test_a_client_deleted_here_is_a_new_one_next_time(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1)])
    sync()
    db.session.delete(client_of(1))
    db.session.commit()
    assert counts(sync()) == (1, 0, 0)


def test_a_warning_is_said_once_and_settled_when_the_value_is_mended(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([first(1, email="a@@b")])
    run = sync()
    assert (run.status, counts(run), run.warnings) == (RunStatus.SUCCESS, (1, 0, 0), 1)
    assert list(reasons(run, ItemKind.WARNING)) == ["1"]
    assert sync().warnings == 0
    assert items(run, ItemKind.WARNING)[0].resolved_at is None
    winleadplus.serve([first(1, email="a@example.org")])
    assert (sync().warnings, client_of(1).email) == (0, "a@example.org")
    assert items(run, ItemKind.WARNING)[0].resolved_at is not None
