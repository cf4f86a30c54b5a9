"""From a file to a plan, and from a plan to rows."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from tests import factories
from tests.conftest import NOW, Cast
from tests.services.imports.conftest import applied, items_of, kept, planned, told
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.models.banking import BankAccount, Mandate
from webapp.models.clients import Client
from webapp.models.contracts import Contract
from webapp.models.duplicates import DuplicatePair, DuplicateSearch
from webapp.models.operations import ItemTarget, Operation
from webapp.services.clients.origins import find_origin
from webapp.services.duplicates import searches
from webapp.services.imports import commands
from webapp.services.merging import commands as merging
from webapp.services.operations import listing, runs, undoing
from webapp.services.operations.carry_out import carry_out
from webapp.services.operations.listing import ItemFilter
from webapp.services.operations.wording import Names, changes_of

HEAD = (
    "Civilité;Nom;Prénom;E-mail;Téléphone;Code postal;Ville;N° contrat;Montant;Date de signature;"
    "IBAN;RUM;Mandat signé le\n"
)
DUPONT = (
    "Mme;DUPONT;Zoé;ZOE@Exemple.fr;639981234;69001;Lyon;C-1;1 234,56 €;03/11/2025;"
    "FR76 3000 6000 0112 3456 7890 189;RUM-1;03-11-25\n"
)


def test_a_line_becomes_a_client_with_all_it_has(cast: Cast) -> None:
    operation_id = planned(HEAD + DUPONT, cast.admin)
    assert told(operation_id) == [
        (2, "client", "create"),
        (2, "contract", "create"),
        (2, "bank_account", "create"),
        (2, "mandate", "create"),
    ]
    done = applied(operation_id, cast.admin)
    assert (done.state.value, done.applied, done.left_out) == ("done", 4, 0)
    client = db.session.scalars(select(Client).where(Client.email == "zoe@exemple.fr")).one()
    assert (client.last_name, client.first_name, client.phone) == ("DUPONT", "Zoé", "+33639981234")
    contract = db.session.scalars(select(Contract).where(Contract.client_id == client.id)).one()
    assert (contract.reference, str(contract.amount), str(contract.signed_on)) == ("C-1", "1234.56", "2025-11-03")
    account = db.session.scalars(select(BankAccount).where(BankAccount.client_id == client.id)).one()
    assert account.reveal_iban() == "FR7630006000011234567890189"
    mandate = db.session.scalars(select(Mandate).where(Mandate.client_id == client.id)).one()
    assert (mandate.umr, str(mandate.signed_on), mandate.bank_account_id) == ("RUM-1", "2025-11-03", account.id)


def test_the_same_file_again_changes_nothing(cast: Cast) -> None:
    applied(planned(HEAD + DUPONT, cast.admin), cast.admin)
    again = planned(HEAD + DUPONT, cast.admin)
    assert {action for _, _, action in told(again)} == {"nothing"}
    assert applied(again, cast.admin).applied == 0


def test_a_known_client_is_updated_by_what_differs(cast: Cast) -> None:
    client = factories.ClientFactory(email="zoe@exemple.fr", last_name="Dupont", first_name="Zoé", city=None)
    operation_id = planned("Nom;E-mail;Ville\nDurand;zoe@exemple.fr;Lyon\n", cast.admin)
    item = items_of(operation_id)[0]
    assert (item.before, item.after) == ({"last_name": "Dupont", "city": None}, {"last_name": "Durand", "city": "Lyon"})
    applied(operation_id, cast.admin)
    db.session.expire_all()
    assert (client.last_name, client.city) == ("Durand", "Lyon")


def test_lines_about_one_client_are_joined_and_a_contradiction_is_refused(cast: Cast) -> None:
    operation_id = planned(
        "Nom;E-mail;Ville;N° contrat\n"
        "DUPONT;zoe@exemple.fr;;C-1\nDUPONT;zoe@exemple.fr;Lyon;C-2\nMARTIN;zoe@exemple.fr;;C-3\n",
        cast.admin,
    )
    assert told(operation_id) == [
        (2, "client", "create"),
        (2, "contract", "create"),
        (3, "contract", "create"),
        (4, "client", "error"),
    ]
    assert items_of(operation_id)[0].after["city"] == "Lyon"
    done = applied(operation_id, cast.admin)
    assert (done.state.value, done.applied) == ("partial", 3)


def test_fill_changes_only_what_is_blank_and_ours_changes_nothing(cast: Cast) -> None:
    factories.ClientFactory(email="zoe@exemple.fr", last_name="Dupont", city=None)
    content = "Nom;E-mail;Ville\nDurand;zoe@exemple.fr;Lyon\n"
    filled = items_of(planned(content, cast.admin, policy="remplir"))[0]
    assert filled.after == {"city": "Lyon"}
    assert told(planned(content, cast.admin, policy="crm")) == [(2, "client", "nothing")]


def test_a_reference_of_another_client_is_refused(cast: Cast) -> None:
    factories.ContractFactory(reference="C-1", client_id=factories.ClientFactory().id)
    operation_id = planned("Nom;E-mail;N° contrat\nDurand;ana@exemple.fr;C-1\n", cast.admin)
    assert "appartient déjà à un autre client" in str(items_of(operation_id)[0].reason)


def test_an_unknown_commercial_is_refused_or_created(cast: Cast) -> None:
    content = "Nom;E-mail;Commercial\nDurand;ana@exemple.fr;Jean Nouveau\n"
    assert told(planned(content, cast.admin)) == [(2, "client", "error")]
    operation_id = planned(content, cast.admin, creates_commercials=True)
    assert told(operation_id) == [(None, "commercial", "create"), (2, "client", "create")]
    changes = listing.list_items(operation_id, ItemFilter.CREATES).rows[1].changes
    assert ("commercial", None, "Jean Nouveau") in [tuple(each) for each in changes]
    applied(operation_id, cast.admin)
    client = db.session.scalars(select(Client).where(Client.email == "ana@exemple.fr")).one()
    assert client.commercial is not None
    assert client.commercial.full_name == "Jean Nouveau"


def test_what_columns_are_is_remembered_whatever_their_order(cast: Cast) -> None:
    keys = ["client.city", "client.last_name", "client.email"]
    planned("Lieu-dit;Qui;Où écrire\nLyon;Durand;ana@exemple.fr\n", cast.admin, keys=keys)
    again = commands.find(kept("Où écrire;Motif;Lieu-dit;Qui\nzoe@exemple.fr;;Nice;Petit\n", cast.admin), by=cast.admin)
    assert again.columns == [None] * 4  # « Motif » is a column like others where it is not the last
    again = commands.find(kept("Où écrire;Lieu-dit;Qui;Motif\nzoe@exemple.fr;Nice;Petit;\n", cast.admin), by=cast.admin)
    assert again.columns == ["client.email", "client.city", "client.last_name", None]


def test_what_was_imported_is_undone(cast: Cast) -> None:
    known = factories.ClientFactory(email="ana@exemple.fr", last_name="Durand", city="Paris")
    content = HEAD + DUPONT + ";Durand;;ana@exemple.fr;;;Lyon;;;;;;\n"
    operation_id = planned(content, cast.admin)
    applied(operation_id, cast.admin)
    undo_id = undoing.plan_undo(operation_id, by=cast.admin, at=NOW)
    carry_out(tenancy.current_organisation_id(), undo_id)
    undone = applied(undo_id, cast.admin)
    assert (undone.state.value, undone.left_out) == ("done", 0)
    db.session.expire_all()
    client = db.session.scalars(select(Client).where(Client.email == "zoe@exemple.fr")).one()
    assert (client.archived_at is not None, known.city) == (True, "Paris")
    counts = [len(db.session.scalars(select(model)).all()) for model in (Contract, BankAccount, Mandate)]
    assert counts == [0, 0, 0]


def test_a_corrected_file_of_rejects_is_matched_as_the_original_was(cast: Cast) -> None:
    keys = ["client.last_name", "client.email", None]
    planned("Nom;E-mail;Couleur\nDurand;ana@@exemple.fr;bleu\n", cast.admin, keys=keys)
    import_id = kept("Nom;E-mail;Couleur;Motif\nDurand;ana@exemple.fr;bleu;E-mail faux\n", cast.admin)
    assert commands.find(import_id, by=cast.admin).columns == [*keys, None]


def test_a_merged_client_leads_to_the_one_that_was_kept(cast: Cast) -> None:
    kept_client, merged, first = (factories.ClientFactory(last_name="Durand", city=None) for _ in range(3))
    merged.merged_into_id, first.merged_into_id = kept_client.id, merged.id
    merged.archived_at = first.archived_at = NOW
    first.email, merged.phone = "ana@exemple.fr", "+33639981234"
    db.session.flush()
    by_id = f"Identifiant du client;Ville\n{first.id};Lyon\n"
    for content in (by_id, "Nom;E-mail;Ville\nDurand;ana@exemple.fr;Lyon\n", "Téléphone;Ville\n0639981234;Lyon\n"):
        (item,) = items_of(planned(content, cast.admin))
        assert (item.action.value, item.row_id, item.after.get("city")) == ("update", kept_client.id, "Lyon"), content


def test_an_archived_client_is_found_by_its_identifier_alone(cast: Cast) -> None:
    archived = factories.ClientFactory(email="ana@exemple.fr", archived_at=NOW, city=None)
    assert told(planned("Nom;E-mail\nDurand;ana@exemple.fr\n", cast.admin)) == [(2, "client", "create")]
    (item,) = items_of(planned(f"Identifiant du client;Ville\n{archived.id};Lyon\n", cast.admin))
    assert (item.row_id, item.after) == (archived.id, {"city": "Lyon"})


def test_an_erased_client_is_not_filled_again(cast: Cast) -> None:
    erased = factories.ClientFactory(last_name="Client effacé", first_name="", archived_at=NOW)
    factories.ContractFactory(client_id=erased.id, reference="C-1")
    db.session.execute(update(Client).where(Client.id == erased.id).values(erased_at=NOW))
    (item,) = items_of(planned(f"Identifiant du client;Ville\n{erased.id};Lyon\n", cast.admin))
    assert item.action.value == "error"
    assert "client effacé" in (item.reason or "")
    (item,) = items_of(planned("N° contrat;Montant\nC-1;12,50\n", cast.admin))
    assert item.action.value == "error"


def test_what_was_planned_for_a_client_who_is_merged_since_is_left_out(cast: Cast) -> None:
    merged, kept_client = (factories.ClientFactory(email=f"{name}@exemple.fr") for name in "ab")
    operation_id = planned("E-mail;N° contrat\na@exemple.fr;C-1\n", cast.admin)
    merging.merge([merged.id, kept_client.id], merging.Choices(kept_id=kept_client.id), by=cast.admin, at=NOW)
    done = applied(operation_id, cast.admin)
    assert (done.state.value, done.left_out) == ("partial", 1)
    assert db.session.scalars(select(Contract)).all() == []


@pytest.mark.parametrize("who", ["zoe@exemple.fr;", ";0639981234"])
def test_a_person_who_came_since_the_plan_is_not_created_again(cast: Cast, who: str) -> None:
    first, second = (planned(f"Nom;E-mail;Téléphone;N° contrat\nDUPONT;{who};C-{n}\n", cast.admin) for n in "12")
    clock.start_at(NOW + timedelta(minutes=1))
    assert applied(first, cast.admin).left_out == 0
    done = applied(second, cast.admin)
    assert (done.state.value, done.applied, done.left_out) == ("partial", 0, 2)
    assert "arrivé depuis le plan" in (items_of(second)[0].left_out or "")
    assert len(db.session.scalars(select(Client)).all()) == 1
    assert told(planned(f"Nom;E-mail;Téléphone;N° contrat\nDUPONT;{who};C-2\n", cast.admin)) == [
        (2, "client", "nothing"),
        (2, "contract", "create"),
    ]


def test_duplicates_are_looked_for_after_an_import_and_its_undoing(cast: Cast) -> None:
    by_day = datetime(2026, 11, 20, 10, tzinfo=UTC)
    factories.ClientFactory(email="zoe@exemple.fr", last_name="Dupont", first_name="Zoé", archived_at=None)
    factories.ClientFactory(email="zoe@exemple.fr", last_name="Dupond", first_name="Zoé")
    operation_id = planned("Nom;Prénom;E-mail;Ville\nDupont;Zoé;zoe@exemple.fr;Lyon\n", cast.admin)
    commands.decide(_import_of(operation_id), {"everyone": "new"}, {}, by=cast.admin, at=clock.now())
    operation_id = db.session.scalars(select(Operation.id).order_by(Operation.id.desc()).limit(1)).one()
    carry_out(tenancy.current_organisation_id(), operation_id)
    assert applied(operation_id, cast.admin).left_out == 0
    assert searches.start_due(at=by_day) == 1
    (search,) = db.session.scalars(select(DuplicateSearch))
    assert search.operation_id == operation_id
    searches.carry_out(tenancy.current_organisation_id(), search.id)
    created = db.session.scalars(select(Client.id).where(Client.city == "Lyon")).one()
    pairs = db.session.execute(select(DuplicatePair.first_id, DuplicatePair.second_id)).all()
    assert sum(created in pair for pair in pairs) == 2


def test_a_value_says_which_line_of_which_file_it_comes_from(cast: Cast) -> None:
    known = factories.ClientFactory(email="zoe@exemple.fr", city="Paris")
    applied(planned("Nom;E-mail;Ville\nDupont;ana@exemple.fr;\nDupont;zoe@exemple.fr;Lyon\n", cast.admin), cast.admin)
    origin = find_origin(known.id, "city")
    step = origin.steps[0]
    assert (origin.is_told, step.operation, step.line, step.before) == (True, "Import de clients.csv", 3, "Paris")
    created = db.session.scalars(select(Client).where(Client.email == "ana@exemple.fr")).one()
    origin = find_origin(created.id, "last_name")
    assert (origin.is_told, origin.steps[0].operation, origin.steps[0].line) == (True, "Import de clients.csv", 2)


def _import_of(operation_id: UUID) -> UUID:
    return UUID(runs.find(operation_id).settings["import_id"])


def test_of_several_with_one_telephone_the_one_who_is_called_so_comes_first(cast: Cast) -> None:
    older = factories.ClientFactory(last_name="PETIT", first_name="Luc", phone="+33639981234", city="Lyon")
    zoe = factories.ClientFactory(last_name="Petit", first_name="Zoé", phone="+33639981234", city="Lyon")
    lines = "Nom;Prénom;Téléphone;Ville\nPETIT;ZOE;06 39 98 12 34;Brest\nPETIT;Ana;06 39 98 12 34;Brest\n"
    operation_id = planned(lines, cast.admin)
    assert [item.candidate_ids for item in items_of(operation_id)] == [[zoe.id, older.id], [older.id, zoe.id]]
    commands.decide(_import_of(operation_id), {"everyone": "first"}, {}, by=cast.admin, at=clock.now())
    operation_id = db.session.scalars(select(Operation.id).order_by(Operation.id.desc()).limit(1)).one()
    carry_out(tenancy.current_organisation_id(), operation_id)
    changed = {item.row_id: item.after for item in items_of(operation_id)}
    assert changed[zoe.id]["city"] == "Brest"


def test_an_archived_client_is_told_by_the_day() -> None:
    archived = {"archived_at": "2026-11-20T23:30:00+00:00"}
    (change,) = changes_of(ItemTarget.CLIENT, {"archived_at": None}, archived, Names())
    assert (change.before, change.after) == (None, "21/11/2026")


def test_a_french_postcode_gets_its_zero_back_and_a_belgian_one_has_none(cast: Cast) -> None:
    lines = "Nom;E-mail;Code postal;Pays\nA;a@exemple.fr;1000;\nB;b@exemple.be;1000;Belgique\n"
    items = items_of(planned(lines, cast.admin))
    assert [item.after["postcode"] for item in items] == ["01000", "1000"]


def test_a_title_before_a_name_is_no_part_of_it(cast: Cast) -> None:
    factories.ClientFactory(email="zoe@exemple.fr", last_name="DUBOIS", first_name="Zoé", civility=None)
    names = ("Mme DUBOIS Zoé", "M. ROUX Paul", "M. et Mme PETIT Luc", "Mr Gris")
    lines = "".join(f"{name};{mail}@exemple.fr\n" for name, mail in zip(names, ("zoe", "b", "c", "d"), strict=True))
    items = items_of(planned(f"Client;E-mail\n{lines}", cast.admin))
    assert items[0].after == {"civility": "Mme"}
    said = [tuple(item.after.get(name) for name in ("civility", "last_name", "first_name")) for item in items[1:]]
    assert said == [("M.", "ROUX", "Paul"), (None, "PETIT", "Luc"), ("M.", "Gris", None)]
