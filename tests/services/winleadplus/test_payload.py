"""Both generations come to one shape; what cannot be read is left out with its reason, or rejects the prospect."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.services.winleadplus.raw import IBAN, OTHER_IBAN, OTHER_REP, REP, contract, first, second
from webapp.models.clients import ClientStatus
from webapp.models.contracts import ContractStatus, PaymentMethod
from webapp.services.winleadplus.payload import (
    Prospect,
    ProspectAccount,
    ProspectLine,
    RejectedProspectError,
    Representative,
    read,
)

NARROW = "\u202f"


def _contract_of(**differences: Any) -> Any:
    (found,) = read(first(contrats=[contract(**differences)])).contracts
    return found


def _reason(raw: Any) -> str:
    with pytest.raises(RejectedProspectError) as rejection:
        read(raw)
    return rejection.value.reason


# ---- Shapes


def test_a_first_generation_prospect_is_read_whole() -> None:
    prospect = read(first(telephone="0639980252", informationsPaiement=[{"iban": IBAN, "mandatSepa": True}]))
    assert (prospect.external_id, prospect.last_name, prospect.first_name) == ("397", "HAMDANI", "Karim")
    assert (prospect.email, prospect.phone) == ("karim.397@example.org", "+33639980252")
    assert (prospect.address_line1, prospect.postcode, prospect.city) == ("12 rue des Lilas", "59000", "Lille")
    assert (prospect.country, prospect.status, prospect.warnings) == ("FR", ClientStatus.ACTIVE, ())
    assert prospect.accounts == (ProspectAccount(IBAN, None, has_mandate=True),)
    (sold,) = prospect.contracts
    assert (sold.reference, sold.status, sold.amount) == ("397WNC", ContractStatus.ACTIVE, Decimal("2.20"))
    assert sold.signed_at == datetime(2026, 2, 6, 14, 31, 53, 576000, tzinfo=UTC)
    assert (sold.starts_on, sold.payment_method) == (date(2026, 2, 6), PaymentMethod.SEPA)
    assert sold.lines == (ProspectLine("Télécâble Sat", Decimal("2.2000"), "Divertissement", None, "9"),)


def test_a_second_generation_prospect_is_read_whole() -> None:
    prospect = read(second(identityCard={"type": "CNI", "numero": "X1"}))
    assert (prospect.address_line1, prospect.postcode, prospect.city) == ("3 quai de la Loire", "44000", "Nantes")
    assert (prospect.commercial, prospect.representative) == (
        REP,
        Representative(REP, "john.doe@example.org", "John", "Doe"),
    )
    assert prospect.accounts == (ProspectAccount(OTHER_IBAN, "AGRIFRPPXXX", has_mandate=False),)
    assert prospect.identity_card == '{"numero":"X1","type":"CNI"}'
    (sold,) = prospect.contracts
    assert (sold.description, sold.contract_type, sold.supplier) == ("Fibre chez Lumifibre", "ABONNEMENT", "Lumifibre")
    assert (sold.document_url, sold.audit_trail_url) == ("/documents/398TEL.pdf", "/audit/398TEL.pdf")
    assert sold.lines == (ProspectLine("Fibre 2 Gb/s", Decimal("29.9900"), "Télécom", "Lumifibre", None),)


def test_the_contract_starts_on_the_day_of_validation_in_paris_else_of_signature() -> None:
    late = "2026-02-06T23:30:00Z"
    assert _contract_of(dateSignature="2026-02-01", dateValidation=late).starts_on == date(2026, 2, 7)
    assert _contract_of(dateSignature=late, dateValidation=None).starts_on == date(2026, 2, 7)


def test_with_several_contracts_a_line_goes_to_that_of_its_amount() -> None:
    sold = [contract("A", montant="10,00"), contract("B", montant=20)]
    lines = [{"nom": "Vingt", "prix_base": 20.0}, {"nom": "Dix", "prix_base": 10}]
    prospect = read(first(contrats=sold, abonnements=lines))
    assert [[line.label for line in each.lines] for each in prospect.contracts] == [["Dix"], ["Vingt"]]
    assert prospect.warnings == ()


@pytest.mark.parametrize("price", [99, None])
def test_a_line_of_no_contracts_amount_goes_to_the_first_with_a_warning(price: int | None) -> None:
    sold = [contract("A", montant=10), contract("B", montant=20)]
    prospect = read(first(contrats=sold, abonnements=[{"nom": "Perdue", "prix_base": price}]))
    assert [len(each.lines) for each in prospect.contracts] == [1, 0]
    assert prospect.warnings == (
        f"Ligne «{NARROW}Perdue{NARROW}» sans contrat du même montant{NARROW}: rattachée au premier.",
    )


def test_lines_of_a_lone_contract_all_belong_to_it() -> None:
    prospect = read(first(abonnements=[{"nom": "Base", "prix_base": 1}, {"nom": "Option", "prix_base": 1.2}]))
    assert [line.label for line in prospect.contracts[0].lines] == ["Base", "Option"]
    assert prospect.warnings == ()


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["Résilié", "Validé"], ClientStatus.ACTIVE),
        (["Résilié", "Annulé"], ClientStatus.INACTIVE),
        (["Annulé"], ClientStatus.PROSPECT),
        (["En attente", "Résilié"], ClientStatus.PROSPECT),
    ],
)
def test_the_clients_status_follows_from_the_contracts(statuses: list[str], status: ClientStatus) -> None:
    sold = [contract(f"R{number}", statut=each) for number, each in enumerate(statuses)]
    assert read(first(contrats=sold)).status is status


# ---- What rejects a prospect


@pytest.mark.parametrize("raw", ["texte", None, ["idProspect", 1], 12])
def test_what_is_no_object_is_rejected(raw: Any) -> None:
    assert _reason(raw) == f"Ce n’est pas un prospect{NARROW}: un objet était attendu."


@pytest.mark.parametrize("number", [None, ""])
def test_a_prospect_without_id_is_rejected(number: Any) -> None:
    assert _reason(first(idProspect=number)) == f"Prospect sans idProspect{NARROW}: il ne pourrait pas être reconnu."


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("abc", f"idProspect illisible («{NARROW}abc{NARROW}»)."),
        (3.5, f"idProspect illisible («{NARROW}3.5{NARROW}»)."),
        (True, "idProspect illisible."),
        ([1], "idProspect illisible."),
        (-4, f"idProspect hors limites («{NARROW}-4{NARROW}»)."),
        (2**63, f"idProspect hors limites («{NARROW}9223372036854775808{NARROW}»)."),
    ],
)
def test_an_id_that_is_no_number_is_rejected(number: Any, reason: str) -> None:
    assert _reason(first(idProspect=number)) == reason


@pytest.mark.parametrize("number", ["397", " 397 ", "0397"])
def test_an_id_written_as_text_is_the_number_that_it_is(number: str) -> None:
    assert read(first(idProspect=number)).external_id == "397"


@pytest.mark.parametrize("blank", [None, "", "   ", "\t\u0000", "\u200b"])
def test_a_prospect_without_any_name_is_rejected(blank: str | None) -> None:
    assert _reason(first(nom=blank, prenom=blank)) == "Prospect sans nom ni prénom."


def test_a_first_name_alone_is_enough() -> None:
    prospect = read(first(nom=None))
    assert (prospect.last_name, prospect.label, prospect.warnings) == ("", "Karim", ())


# ---- What is left out


@pytest.mark.parametrize(
    ("differences", "field", "warning"),
    [
        ({"email": "a@@b"}, "email", f"E-mail illisible («{NARROW}a@@b{NARROW}»){NARROW}: valeur laissée de côté."),
        ({"email": ["a@b.fr"]}, "email", f"E-mail illisible{NARROW}: valeur laissée de côté."),
        (
            {"telephone": "12 34"},
            "phone",
            f"Téléphone illisible («{NARROW}12 34{NARROW}»){NARROW}: valeur laissée de côté.",
        ),
        ({"prenom": {"a": 1}}, "first_name", f"Prénom illisible{NARROW}: valeur laissée de côté."),
        ({"identityCard": {"photo": "A" * 70_000}}, "identity_card", "Pièce d’identité illisible, laissée de côté."),
        ({"identityCard": {"n": 2**70}}, "identity_card", "Pièce d’identité illisible, laissée de côté."),
        (
            {"adresse": {"pays": "Atlantide"}},
            "country",
            f"Pays illisible («{NARROW}Atlantide{NARROW}»){NARROW}: valeur laissée de côté.",
        ),
        (
            {"commercialId": "pas-un-uuid"},
            "commercial",
            f"Identifiant du commercial illisible («{NARROW}pas-un-uuid{NARROW}»){NARROW}: valeur laissée de côté.",
        ),
    ],
)
def test_a_broken_value_is_left_out_with_a_warning(differences: dict[str, Any], field: str, warning: str) -> None:
    prospect = read(first(**differences))
    assert prospect.warnings == (warning,)
    assert prospect.unread == {field}


@pytest.mark.parametrize("iban", ["FR7612345", "FR0099999000010000001234537", "FR76 3000 6000 0112 3456 7890 188", 12])
def test_a_broken_iban_is_left_out_and_never_quoted(iban: Any) -> None:
    prospect = read(first(informationsPaiement=[{"iban": iban, "mandatSepa": True}]))
    assert prospect.accounts == ()
    assert prospect.contracts[0].payment_method is None
    assert prospect.warnings == ("IBAN non valide, laissé de côté.",)


def test_a_broken_bic_leaves_the_iban() -> None:
    prospect = read(first(informationsPaiement=[{"IBAN": IBAN, "BIC": "???"}]))
    assert prospect.accounts == (ProspectAccount(IBAN, None, has_mandate=False),)
    assert prospect.warnings == ("BIC non valide, laissé de côté.",)


@pytest.mark.parametrize("amount", ["2,20", 2.2, "2.20", "2,20 €", " 2,2 EUR", "02,20"])
def test_an_amount_may_be_written_in_french(amount: Any) -> None:
    assert _contract_of(montant=amount).amount == Decimal("2.20")


@pytest.mark.parametrize(
    ("amount", "expected"), [("1 234,56", "1234.56"), ("1.234,56", "1234.56"), ("1,234.56", "1234.56"), (2.205, "2.21")]
)
def test_thousands_and_rounding(amount: Any, expected: str) -> None:
    assert _contract_of(montant=amount).amount == Decimal(expected)


@pytest.mark.parametrize("amount", ["gratuit", 1e308, float("nan"), float("inf"), True, [2], "1e5", "12,3,4", 10**400])
def test_an_amount_that_is_none_is_left_out_with_a_warning(amount: Any) -> None:
    prospect = read(first(contrats=[contract("R", montant=amount)]))
    assert prospect.contracts[0].amount is None
    assert prospect.unread == {"contract.R.amount"}
    assert prospect.warnings[0].startswith(f"Contrat R{NARROW}: montant illisible")


@pytest.mark.parametrize(
    "signed",
    [
        "2026-02-06T14:31:53Z",
        "2026-02-06T15:31:53+01:00",
        "2026-02-06 15:31:53",
        "06/02/2026 15:31:53",
        "6.2.2026 15h31:53",
        1770388313,
        1770388313000,
    ],
)
def test_a_date_may_have_other_shapes(signed: Any) -> None:
    assert _contract_of(dateSignature=signed).signed_at == datetime(2026, 2, 6, 14, 31, 53, tzinfo=UTC)


@pytest.mark.parametrize("signed", ["2026-02-06", "06/02/2026", "6-2-2026"])
def test_a_date_without_time_is_that_day_in_paris(signed: str) -> None:
    assert _contract_of(dateSignature=signed).starts_on == date(2026, 2, 6)


@pytest.mark.parametrize("signed", [None, ""])
def test_an_absent_date_is_no_fault(signed: Any) -> None:
    prospect = read(first(contrats=[contract(dateSignature=signed)]))
    assert (prospect.contracts[0].signed_at, prospect.warnings) == (None, ())


@pytest.mark.parametrize("signed", ["2026-02-31", "demain", "0000-00-00", "3026-01-01", 1e300, True, {"a": 1}])
def test_an_impossible_date_is_left_out_with_a_warning(signed: Any) -> None:
    prospect = read(first(contrats=[contract("R", dateSignature=signed)]))
    assert prospect.contracts[0].signed_at is None
    assert prospect.unread == {"contract.R.signed_at", "contract.R.starts_on"}
    assert prospect.warnings[0].startswith(f"Contrat R{NARROW}: date de signature illisible")


@pytest.mark.parametrize(
    ("upstream", "ours"),
    [
        ("Validé", ContractStatus.ACTIVE),
        ("VALIDE", ContractStatus.ACTIVE),
        ("En attente", ContractStatus.PENDING),
        ("en cours", ContractStatus.PENDING),
        ("Annulé", ContractStatus.CANCELED),
        ("Rejetée", ContractStatus.CANCELED),
        ("Résilié", ContractStatus.TERMINATED),
        ("Brouillon", ContractStatus.DRAFT),
    ],
)
def test_statuses_have_our_words(upstream: str, ours: ContractStatus) -> None:
    found = _contract_of(statut=upstream)
    assert (found.status, found.status_raw) == (ours, None)


def test_an_unknown_status_is_kept_as_text_and_counted_as_pending() -> None:
    prospect = read(first(contrats=[contract("R", statut="Chez le notaire")]))
    assert (prospect.contracts[0].status, prospect.contracts[0].status_raw) == (
        ContractStatus.PENDING,
        "Chez le notaire",
    )
    assert prospect.warnings == (
        f"Contrat R{NARROW}: statut inconnu («{NARROW}Chez le notaire{NARROW}»), compté en attente.",
    )


def test_null_lists_are_empty_lists() -> None:
    prospect = read(first(contrats=None, abonnements=None, informationsPaiement=None, Souscription=None))
    assert (prospect.contracts, prospect.accounts, prospect.has_contracts, prospect.warnings) == ((), (), False, ())


def test_elements_that_are_no_objects_are_left_out() -> None:
    prospect = read(first(contrats=[None, contract("R")], abonnements=["x", None]))
    assert len(prospect.contracts) == 1
    assert prospect.warnings == (f"Abonnements{NARROW}: un élément illisible, laissé de côté.",)


@pytest.mark.parametrize("reference", [None, "", "  ", "R" * 101, ["R"]])
def test_a_contract_without_usable_reference_is_left_out(reference: Any) -> None:
    prospect = read(first(contrats=[contract(reference)]))
    assert (prospect.contracts, prospect.has_contracts) == ((), True)
    assert prospect.warnings == ("Contrat sans référence utilisable, laissé de côté.",)


def test_a_contract_that_comes_twice_counts_once_by_its_last_row() -> None:
    prospect = read(first(contrats=[contract("R", montant=1), contract("R", montant=3)], abonnements=[]))
    assert [each.amount for each in prospect.contracts] == [Decimal("3.00")]
    assert prospect.warnings == (f"Contrat R donné deux fois{NARROW}: le dernier compte.",)


def test_nul_control_characters_and_reversed_text_are_cleaned_from_names() -> None:
    prospect = read(first(nom="NUL\u0000ICI", prenom="Bel\u0007\u001b[31m", ville="\u202eLi\u0000lle"))
    assert (prospect.last_name, prospect.first_name, prospect.city) == ("NULICI", "Bel[31m", "Lille")


def test_markup_stays_text() -> None:
    assert read(first(nom="<script>alert(1)</script>")).last_name == "<script>alert(1)</script>"


def test_ten_megabytes_in_a_name_are_cut_to_the_column() -> None:
    prospect = read(first(nom="É" * 10_000_000, email="A" * 10_000_000))
    assert prospect.last_name == "É" * 200
    assert prospect.warnings[0] == f"Nom{NARROW}: texte trop long, coupé à 200 caractères."


def test_numbers_are_read_where_text_belongs() -> None:
    prospect = read(first(nom=12345, telephone=639980017, codePostal=1000))
    assert (prospect.last_name, prospect.phone, prospect.postcode) == ("12345", "+33639980017", "01000")
    assert prospect.warnings == ()


@pytest.mark.parametrize("country", ["Belgique", "BELGIQUE", "be", "BE"])
def test_countries_are_read_by_name_or_code(country: str) -> None:
    assert read(first(adresse={"rue": "1 rue Haute", "pays": country})).country == "BE"


def test_a_commercial_without_commercial_id_beside_it_is_the_clients() -> None:
    assert read(second(commercialId=None)).commercial == REP
    assert read(second(commercialId=OTHER_REP)).commercial == OTHER_REP


@pytest.mark.parametrize("commercial", ["John", {"nom": "Doe"}, None])
def test_a_commercial_that_cannot_be_told_is_nobody(commercial: Any) -> None:
    prospect: Prospect = read(second(commercialId=None, commercial=commercial))
    assert (prospect.commercial, prospect.representative) == (None, None)
