"""The pretend prospects: always the same, clean, fictional, and never mistaken for one another."""

import re
from decimal import Decimal
from itertools import islice
from typing import Any

import phonenumbers
import pytest
from email_validator import validate_email
from schwifty import BIC, IBAN

from demo.prospects import FIRST_ID, commercials, prospect, prospects

FICTION = re.compile(r"^\+33(19900|26191|35301|46571|53649|63998)\d{4}$")
SEEDED = re.compile(r"^\+331990000\d\d$")
STATUSES = {"Validé", "En attente", "En cours", "Annulé", "Rejeté", "Résilié", "Brouillon"}


def test_they_are_the_same_every_time() -> None:
    assert list(prospects(250)) == list(prospects(250))


def test_this_is_the_thirteenth() -> None:
    """Pinned: a change of the generator changes everybody's demo, and should be meant."""
    thirteenth = prospect(12)

    assert thirteenth["idProspect"] == FIRST_ID + 12
    assert (thirteenth["nom"], thirteenth["prenom"]) == ("Le Floc’h", "Manon")
    assert [contract["titre"] for contract in thirteenth["contrats"]] == ["8100096WNC", "8100097BOX"]


def test_a_prospect_does_not_depend_on_where_one_begins() -> None:
    assert next(islice(prospects(100), 42, None)) == next(prospects(1, start=42))


@pytest.mark.parametrize("count", [250, 5000])
def test_nothing_that_identifies_is_shared(count: int) -> None:
    everyone = list(prospects(count))

    for values in (
        [one["idProspect"] for one in everyone],
        [one["email"] for one in everyone],
        [e164(one) for one in everyone],
        [contract["titre"] for one in everyone for contract in contracts_of(one)],
        [iban for one in everyone for iban in ibans_of(one)],
    ):
        assert len(values) == len(set(values))


def test_emails_stay_unique_when_the_names_run_out() -> None:
    emails = [one["email"] for one in prospects(30_000)]

    assert len(set(emails)) == len(emails)


def test_everybody_is_fictional() -> None:
    for one in prospects(1000):
        assert re.search(r"@(\w+\.)?example\.(org|com|net)$", one["email"])
        assert FICTION.match(e164(one))
        assert not SEEDED.match(e164(one)), "the CRM's own demo clients live there"


def test_every_value_is_sound() -> None:
    for one in prospects(1000):
        validate_email(one["email"], check_deliverability=False)
        assert contracts_of(one)
        for contract in contracts_of(one):
            assert contract["statut"] in STATUSES
            assert contract["montant"] > 0
        for iban in ibans_of(one):
            IBAN(iban, validate_bban=True)
        for account in one["informationsPaiement"]:
            BIC(account.get("BIC", "DEMOFRP1XXX"))


def test_both_generations_come_mixed() -> None:
    second = sum("Souscription" in one for one in prospects(250))

    assert 75 < second < 175


def test_first_generation_lines_add_up_to_their_contracts() -> None:
    """With one contract the lines sum up to it; with several each line has the amount of just one."""
    for one in (one for one in prospects(1000) if "contrats" in one):
        amounts = [Decimal(str(contract["montant"])) for contract in one["contrats"]]
        lines = [Decimal(str(line["prix_base"])) for line in one["abonnements"]]
        assert len(set(amounts)) == len(amounts)
        if len(amounts) == 1:
            assert sum(lines) == amounts[0]
        else:
            assert sorted(lines) == sorted(amounts)


def test_every_commercial_is_introduced_before_being_named_by_id_alone() -> None:
    known: set[str] = set()
    for one in prospects(1000):
        if commercial := one.get("commercial"):
            known.add(commercial["id"])
        assert one["commercialId"] is None or one["commercialId"] in known
    assert known == {commercial.id for commercial in commercials()}


def test_those_who_sign_in_have_clients_of_their_own() -> None:
    owners = [one["commercialId"] for one in prospects(250)]

    for commercial in commercials()[:2]:
        assert owners.count(commercial.id) > 25


def test_an_edit_changes_what_people_change_and_not_who_they_are() -> None:
    for index in range(250):
        before, after = prospect(index), prospect(index, revision=1)
        assert e164(before) != e164(after)
        assert contracts_of(before)[0]["statut"] != contracts_of(after)[0]["statut"]
        assert contracts_of(before)[0]["montant"] != contracts_of(after)[0]["montant"]
        for name in ("idProspect", "nom", "prenom", "email", "commercialId"):
            assert before[name] == after[name]
        assert [c["titre"] for c in contracts_of(before)] == [c["titre"] for c in contracts_of(after)]


def test_edits_give_nobody_anothers_telephone() -> None:
    numbers = [e164(prospect(index, revision=revision)) for index in range(250) for revision in range(4)]

    assert len(numbers) == len(set(numbers))


def e164(one: dict[str, Any]) -> str:
    parsed = phonenumbers.parse(one["telephone"], "FR")
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def contracts_of(one: dict[str, Any]) -> list[dict[str, Any]]:
    if "contrats" in one:
        return list(one["contrats"])
    return [contract for subscription in one["Souscription"] for contract in subscription["contrats"]]


def ibans_of(one: dict[str, Any]) -> list[str]:
    return [(account.get("iban") or account["IBAN"]).replace(" ", "") for account in one["informationsPaiement"]]
