"""What a prospect list looks like on its worst day: one row per way in which real answers are dirty.

The ids start at 900001, so that a test can name the row it means. Each comment says what is wrong, and what the
CRM is expected to do about it.
"""

from collections.abc import Iterator
from typing import Any, Final

FIRST_HOSTILE_ID: Final = 900_001
UNKNOWN_COMMERCIAL: Final = "99999999-9999-4999-8999-999999999999"
ONE_MEGABYTE: Final = 1024 * 1024


def hostile_rows(borrowed_reference: str) -> Iterator[Any]:
    """The catalogue. ``borrowed_reference`` is a contract reference that another prospect of the answer owns."""
    yield from _broken_identity()
    yield from _broken_contact()
    yield from _broken_contracts(borrowed_reference)
    yield from _broken_commercial()
    yield from _poison()


def _broken_identity() -> Iterator[Any]:
    # Not an object at all: rejected.
    yield "ceci n’est pas un prospect"
    yield None
    yield ["idProspect", 900_000]
    # No idProspect: rejected, there is nothing to recognise it by the next time.
    yield _without(_row(0, nom="SANS-IDENTIFIANT"), "idProspect")
    # idProspect as text: read as the number that it is.
    yield _row(1, idProspect="900002", nom="IDENTIFIANT-TEXTE")
    # idProspect that is no number: rejected.
    yield _row(2, idProspect="abc", nom="IDENTIFIANT-LETTRES")
    # The same id twice with different content: the last one counts.
    yield _row(3, nom="PREMIER", prenom="Doublon")
    yield _row(3, nom="DERNIER", prenom="Doublon")
    # No name of any sort: rejected. A first name alone is enough.
    yield _row(4, nom=None, prenom=None)
    yield _row(5, nom="   ", prenom="\t")
    yield _row(6, nom=None, prenom="Prénom-Seul")


def _broken_contact() -> Iterator[Any]:
    # Left out each time, with a warning; the client is imported.
    yield _row(10, nom="EMAIL-CASSE", email="pas une adresse@@example")
    yield _row(11, nom="TELEPHONE-CASSE", telephone="12 34")
    yield _row(12, nom="TELEPHONE-LETTRES", telephone="voir avec sa femme")
    yield _row(13, nom="IBAN-CASSE", informationsPaiement=[{"iban": "FR7612345", "mandatSepa": True}])
    yield _row(14, nom="IBAN-FAUSSE-CLE", informationsPaiement=[{"iban": "FR0099999000010000001234537"}])
    yield _row(15, nom="BIC-CASSE", informationsPaiement=[{"IBAN": None, "BIC": "???"}])
    # Numbers where text belongs, and the other way round.
    yield _row(16, nom=12345, prenom="Nom-En-Nombre", telephone=639980017, codePostal=59000)
    # A couple: two people with one e-mail and one telephone are two clients.
    couple = {"nom": "COUPLE", "email": "couple@example.org", "telephone": "06 39 98 00 18"}
    yield _row(17, **couple, prenom="Elle")
    yield _row(18, **couple, prenom="Lui")


def _broken_contracts(borrowed_reference: str) -> Iterator[Any]:
    # An amount with a decimal comma: 2,20 €, no warning needed. One that is no amount: left out, with a warning.
    yield _row(20, nom="MONTANT-VIRGULE", contrats=[_contract(20, montant="2,20")])
    yield _row(21, nom="MONTANT-TEXTE", contrats=[_contract(21, montant="gratuit")])
    yield _row(22, nom="MONTANT-INFINI", contrats=[_contract(22, montant=1e308)])
    # Dates in other shapes, impossible ones, and none.
    yield _row(23, nom="DATE-FRANCAISE", contrats=[_contract(23, dateSignature="06/02/2026")])
    yield _row(24, nom="DATE-SEULE", contrats=[_contract(24, dateSignature="2026-02-06")])
    yield _row(25, nom="DATE-EPOCH", contrats=[_contract(25, dateSignature=1770388313576)])
    yield _row(26, nom="DATE-IMPOSSIBLE", contrats=[_contract(26, dateSignature="2026-02-31T25:61:00Z")])
    yield _row(27, nom="DATE-ABSENTE", contrats=[_without(_contract(27), "dateSignature")])
    # A status nobody knows: kept as text, counted as pending, with a warning.
    yield _row(28, nom="STATUT-INCONNU", contrats=[_contract(28, statut="Chez le notaire")])
    yield _row(29, nom="STATUT-NUL", contrats=[_contract(29, statut=None)])
    # Null where a list belongs: as if it were empty. Without any contract: ignored, with that reason.
    yield _row(30, nom="LISTES-NULLES", abonnements=None, informationsPaiement=None)
    yield _row(31, nom="SANS-CONTRAT", contrats=[])
    yield _row(32, nom="CONTRATS-NULS", contrats=None)
    yield _row(33, nom="LISTES-DE-NULS", contrats=[None, _contract(33)], abonnements=[None, "x"])
    # A reference that belongs to another client's contract: rejected.
    yield _row(34, nom="REFERENCE-EMPRUNTEE", contrats=[_contract(34, titre=borrowed_reference)])
    # A contract without its reference.
    yield _row(35, nom="REFERENCE-ABSENTE", contrats=[_contract(35, titre=None)])
    # Two contracts of one price and a line of a third: the line's contract is a guess, hence a warning.
    yield _row(
        36,
        nom="LIGNE-ORPHELINE",
        contrats=[_contract(36), _contract(37)],
        abonnements=[{"offreId": 1, "nom": "Ligne", "categorie": "Box", "prix_base": 99.99}],
    )


def _broken_commercial() -> Iterator[Any]:
    # Malformed: left out, with a warning. Unknown with nobody beside it: kept, and linked once it is known.
    yield _row(40, nom="COMMERCIAL-MALFORME", commercialId="pas-un-uuid")
    yield _row(41, nom="COMMERCIAL-INCONNU", commercialId=UNKNOWN_COMMERCIAL)
    yield _row(42, nom="COMMERCIAL-NOMBRE", commercialId=42)


def _poison() -> Iterator[Any]:
    # Control characters and NUL, which PostgreSQL refuses in text: stripped.
    yield _row(50, nom="NUL\u0000ICI", prenom="Bel\u0007\u001b[31m", ville="Li\u0000lle")
    # Markup: shown as text, never as markup.
    yield _row(51, nom="<script>alert('nom')</script>", prenom="<img src=x onerror=alert(1)>")
    yield _row(52, nom="'; DROP TABLE clients; --", prenom="{{ 7 * 7 }}")
    # Text that runs the wrong way.
    yield _row(53, nom="\u202eEVERSED", prenom="Zéro\u200bLargeur")
    # A name of a megabyte: cut or rejected, without the run noticing.
    yield _row(54, nom="A" * ONE_MEGABYTE)
    # Deeply nested nonsense in a field of its own.
    nest: Any = "fond"
    for _ in range(200):
        nest = [nest]
    yield _row(55, nom="POUPEES-RUSSES", extra=nest)


def _row(offset: int, **differences: Any) -> dict[str, Any]:
    """A healthy first-generation prospect, but for the differences."""
    number = FIRST_HOSTILE_ID + offset
    return {
        "idProspect": number,
        "nom": "HOSTILE",
        "prenom": "Rang",
        "email": f"hostile.{number}@example.net",
        "telephone": None,
        "adresse": "1 rue du Pire",
        "ville": "Lille",
        "codePostal": "59000",
        "commercialId": None,
        "abonnements": [{"offreId": 1, "nom": "Offre", "categorie": "Box", "prix_base": 19.9}],
        "contrats": [_contract(offset)],
        "informationsPaiement": [],
        **differences,
    }


def _contract(offset: int, **differences: Any) -> dict[str, Any]:
    return {
        "id": FIRST_HOSTILE_ID + offset,
        "titre": f"H{FIRST_HOSTILE_ID + offset}",
        "statut": "Validé",
        "dateSignature": "2026-02-06T14:31:53.576Z",
        "dateValidation": None,
        "montant": 19.9,
        "prospectId": FIRST_HOSTILE_ID + offset,
        **differences,
    }


def _without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}
