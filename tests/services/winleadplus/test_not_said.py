"""A key that is absent says nothing; only null or an empty text says that something was emptied."""

import json
from typing import Any

import pytest

from tests.services.winleadplus.conftest import Sync, counts
from tests.services.winleadplus.looking import accounts_of, client_of, contract, items, lines_of, reasons
from tests.services.winleadplus.raw import IBAN, REP, Raw, first, second
from tests.upstream import Upstream
from webapp.extensions import db
from webapp.models.runs import RunStatus
from webapp.models.winleadplus import ItemKind

ADDRESS = {"rue": "3 quai de la Loire", "complement": "Bât. B", "codePostal": "44000", "ville": "Nantes", "pays": "BE"}
FULL: Raw = first(1, adresse=ADDRESS, telephone="0639981122", identityCard={"numero": "X1"}, commercialId=REP)
del FULL["ville"], FULL["codePostal"]
CLIENT_KEYS = {
    "nom": ("last_name", "HAMDANI", ""),
    "prenom": ("first_name", "Karim", ""),
    "email": ("email", "karim.1@example.org", None),
    "telephone": ("phone", "+33639981122", None),
}
ADDRESS_KEYS = {
    "rue": ("address_line1", "3 quai de la Loire", None),
    "complement": ("address_line2", "Bât. B", None),
    "codePostal": ("postcode", "44000", None),
    "ville": ("city", "Nantes", None),
    "pays": ("country", "BE", "FR"),
}
CONTRACT_KEYS = {
    "description": ("description", "Fibre chez Lumifibre", None),
    "type": ("contract_type", "ABONNEMENT", None),
    "fournisseur": ("supplier", "Lumifibre", None),
    "documentUrl": ("document_url", "/documents/1TEL.pdf", None),
    "auditTrailUrl": ("audit_trail_url", "/audit/1TEL.pdf", None),
    "montant": ("amount", 29.99, None),
}


Case = tuple[str, Any, str, Any]


def _without(raw: Raw, key: str) -> Raw:
    return {name: value for name, value in raw.items() if name != key}


def _cases(keys: dict[str, tuple[str, Any, Any]]) -> list[Case]:
    """Each key absent, null and empty, with the column and the value that it then has."""
    cases: list[Case] = []
    for key, (column, kept, emptied) in keys.items():
        cases += [(key, ..., column, kept), (key, None, column, emptied), (key, "", column, emptied)]
    return cases


@pytest.mark.parametrize("case", _cases(CLIENT_KEYS))
def test_fields_of_a_client(winleadplus: Upstream, sync: Sync, case: Case) -> None:
    key, value, column, expected = case
    winleadplus.serve([FULL])
    sync()
    winleadplus.serve([_without(FULL, key) if value is ... else FULL | {key: value}])
    sync()
    assert getattr(client_of(1), column) == expected


@pytest.mark.parametrize("case", _cases(ADDRESS_KEYS))
def test_parts_of_an_address(winleadplus: Upstream, sync: Sync, case: Case) -> None:
    key, value, column, expected = case
    winleadplus.serve([FULL])
    sync()
    winleadplus.serve([FULL | {"adresse": _without(ADDRESS, key) if value is ... else ADDRESS | {key: value}}])
    sync()
    assert getattr(client_of(1), column) == expected


@pytest.mark.parametrize("case", _cases(CONTRACT_KEYS))
def test_fields_of_a_contract(winleadplus: Upstream, sync: Sync, case: Case) -> None:
    key, value, column, expected = case
    raw = second(1)
    winleadplus.serve([raw])
    sync()
    sold = raw["Souscription"][0]["contrats"][0]
    changed = _without(sold, key) if value is ... else sold | {key: value}
    winleadplus.serve([raw | {"Souscription": [raw["Souscription"][0] | {"contrats": [changed]}]}])
    sync()
    kept = getattr(contract("1TEL"), column)
    assert (float(kept) if key == "montant" and kept is not None else kept) == expected


@pytest.mark.parametrize("absent", ["identityCard", "commercialId", "informationsPaiement", "contrats", "adresse"])
def test_what_a_whole_key_holds_stays_when_it_is_absent(winleadplus: Upstream, sync: Sync, absent: str) -> None:
    raw = FULL | {"informationsPaiement": [{"iban": IBAN, "mandatSepa": True}]}
    winleadplus.serve([raw])
    sync()

    def held() -> tuple[Any, ...]:
        client = client_of(1)
        card = db.session.scalar(db.select(type(client).identity_card))
        sold = contract("1WNC")
        return (
            card is not None, client.commercial_id or client.commercial_external_id, len(accounts_of(client.id)),
            sold.missing_since, sold.payment_method, sold.status, client.status, client.address_line1, client.city,
        )  # fmt: skip

    before = held()
    winleadplus.serve([_without(raw, absent) | {"prenom": "Karima"}])
    assert counts(sync()) == (0, 1, 0)
    assert held() == before


def test_from_the_first_generation_to_the_second_nothing_is_emptied(winleadplus: Upstream, sync: Sync) -> None:
    raw = FULL | {"informationsPaiement": [{"iban": IBAN, "mandatSepa": True}]}
    winleadplus.serve([raw])
    sync()
    client, sold = client_of(1), contract("1WNC")
    before = (client.address_line1, client.city, client.phone, client.country, sold.signed_at, sold.starts_on)
    offer = {"nom": "Télécâble Sat", "categorie": "Divertissement", "prix_base": 2.2, "fournisseur": "Lumifibre"}
    winleadplus.serve(
        [
            {
                "idProspect": 1,
                "nom": "HAMDANI",
                "informationsPaiement": [{"IBAN": IBAN, "BIC": "AGRIFRPPXXX"}],
                "Souscription": [{"offre": offer, "contrats": [{"titre": "1WNC", "fournisseur": "Lumifibre"}]}],
                "identityCard": None,
            }
        ]
    )
    assert counts(sync()) == (0, 1, 0)
    client, sold = client_of(1), contract("1WNC")
    assert before == (client.address_line1, client.city, client.phone, client.country, sold.signed_at, sold.starts_on)
    assert (sold.supplier, sold.missing_since) == ("Lumifibre", None)
    (line,) = lines_of("1WNC")
    assert line.details == {"category": "Divertissement", "supplier": "Lumifibre", "offer_id": "9"}


def test_what_was_not_said_is_compared_with_what_was_said_last(winleadplus: Upstream, sync: Sync) -> None:
    winleadplus.serve([FULL])
    sync()
    client_of(1).phone = "+33611111111"
    db.session.commit()
    winleadplus.serve([_without(FULL, "telephone") | {"prenom": "Karima"}])
    sync()
    winleadplus.serve([FULL | {"prenom": "Karima"}])
    sync()
    assert client_of(1).phone == "+33611111111"  # upstream has said nothing new


@pytest.mark.parametrize(
    ("differences", "sentence"),
    [
        ({"informationsPaiement": [{"mandatSepa": True}]}, "Mandat SEPA annoncé sans IBAN"),
        ({"informationsPaiement": [{"BIC": "AGRIFRPPXXX"}]}, "BIC sans IBAN"),
        ({"informationsPaiement": [{"iban": IBAN, "mandatSepa": "oui"}]}, "Mandat SEPA illisible"),
        ({"contrats": []}, "Abonnement «\u202fTélécâble Sat\u202f» sans contrat"),
        ({"Souscription": [{"offre": {"nom": "Fibre"}, "contrats": []}]}, "Offre «\u202fFibre\u202f» sans contrat"),
        ({"Souscription": [{"offre": "Fibre", "contrats": []}]}, "Offre\u202f: un élément illisible"),
        ({"commercialId": REP}, "Le commercial de WinLeadPlus n’est pas connu"),
        ({"commercial": {"nom": "Doe"}}, "Commercial sans identifiant ni e-mail"),
        ({"commercial": "John Doe"}, "Commercial illisible"),
        ({"ville": "Li\ufffdge"}, "Ville illisible"),
    ],
)
def test_what_is_left_out_is_said(winleadplus: Upstream, sync: Sync, differences: Raw, sentence: str) -> None:
    winleadplus.serve([first(1)])
    sync()
    winleadplus.serve([first(1) | differences | {"prenom": "Karima"}])
    run = sync()
    assert run.warnings == 1
    assert sentence in (reasons(run, ItemKind.WARNING)["1"] or "")


# ---- Letters


def _serve(winleadplus: Upstream, document: str, encoding: str, content_type: str = "application/json") -> None:
    winleadplus.body = document.encode(encoding)
    winleadplus.headers = {"Content-Type": content_type}


def _prospects(*names: str) -> str:
    prospects = [
        {"idProspect": number, "nom": name, "contrats": [{"titre": f"C{number}", "statut": "Validé", "montant": 2}]}
        for number, name in enumerate(names, 1)
    ]
    return json.dumps(prospects, ensure_ascii=False, separators=(",", ":"))


def test_a_prospect_in_another_charset_is_an_error_that_changes_nothing(winleadplus: Upstream, sync: Sync) -> None:
    _serve(winleadplus, _prospects("Zoé", "Anaïs"), "utf-8")
    sync()
    good, bad = _prospects("Zoé", "Anaïs").split(",{", 1)
    winleadplus.body = good.encode() + b",{" + bad.replace("Anaïs", "Anaïs LE ROY").encode("latin-1")
    run = sync()
    assert (run.status, counts(run), run.errors) == (RunStatus.PARTIAL, (0, 0, 1), 1)
    (item,) = items(run, ItemKind.ERROR)
    assert item.external_id == "2"
    assert "ne sont pas de l’UTF-8" in (item.reason or "")
    assert client_of(2).last_name == "Anaïs"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_whole_answer_in_an_undeclared_charset_fails_with_a_sentence(
    winleadplus: Upstream, sync: Sync, encoding: str
) -> None:
    _serve(winleadplus, _prospects("Zoé", "Anaïs", "Rémi", "Paul"), encoding)
    run = sync()
    assert run.status is RunStatus.FAILED
    assert "n’est pas en UTF-8" in (run.error or "")
    assert counts(run)[:2] == (0, 0)


def test_a_declared_charset_is_read_as_declared(winleadplus: Upstream, sync: Sync) -> None:
    _serve(winleadplus, _prospects("Zoé"), "latin-1", "application/json; charset=ISO-8859-1")
    sync()
    assert client_of(1).last_name == "Zoé"


def test_a_charset_that_we_do_not_read_fails_with_a_sentence(winleadplus: Upstream, sync: Sync) -> None:
    _serve(winleadplus, _prospects("Zoé"), "utf-8", "application/json; charset=klingon")
    run = sync()
    assert run.status is RunStatus.FAILED
    assert "klingon" in (run.error or "")
