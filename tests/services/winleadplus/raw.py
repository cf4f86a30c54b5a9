"""Raw prospects of both generations, healthy but for what a test changes."""

from typing import Any

REP = "b1597894-f117-4199-b2f3-16035ed02ab9"
OTHER_REP = "c2a68905-0228-42aa-83f4-27146fe13bca"
IBAN = "FR1420041010050500013M02606"
OTHER_IBAN = "FR7630006000011234567890189"

Raw = dict[str, Any]


def contract(reference: str = "8177185WNC", **differences: Any) -> Raw:
    """A first-generation contract."""
    return {
        "id": 583,
        "titre": reference,
        "statut": "Validé",
        "dateSignature": "2026-02-06T14:31:53.576Z",
        "montant": 2.2,
        "prospectId": 397,
        **differences,
    }


def first(number: int = 397, **differences: Any) -> Raw:
    """A first-generation prospect with one contract of its own."""
    return {
        "idProspect": number,
        "nom": "HAMDANI",
        "prenom": "Karim",
        "email": f"karim.{number}@example.org",
        "telephone": None,
        "adresse": "12 rue des Lilas",
        "ville": "Lille",
        "codePostal": "59000",
        "commercialId": None,
        "abonnements": [{"offreId": 9, "nom": "Télécâble Sat", "categorie": "Divertissement", "prix_base": 2.2}],
        "contrats": [contract(f"{number}WNC")],
        "informationsPaiement": [],
        **differences,
    }


def second(number: int = 398, **differences: Any) -> Raw:
    """A second-generation prospect with one contract of its own."""
    offer = {"nom": "Fibre 2 Gb/s", "categorie": "Télécom", "prix_base": 29.99, "fournisseur": "Lumifibre"}
    sold = {
        "titre": f"{number}TEL",
        "statut": "En cours",
        "description": "Fibre chez Lumifibre",
        "dateSignature": "2026-02-06T23:31:53.576Z",
        "dateValidation": "2026-02-07T09:00:00.000Z",
        "montant": 29.99,
        "fournisseur": "Lumifibre",
        "type": "ABONNEMENT",
        "documentUrl": f"/documents/{number}TEL.pdf",
        "auditTrailUrl": f"/audit/{number}TEL.pdf",
    }
    return {
        "idProspect": number,
        "nom": "LEFÈVRE",
        "prenom": "Anaïs",
        "email": f"anais.{number}@example.org",
        "telephone": "+33 6 39 98 11 22",
        "adresse": {"rue": "3 quai de la Loire", "codePostal": "44000", "ville": "Nantes", "pays": "France"},
        "commercialId": REP,
        "informationsPaiement": [{"IBAN": "FR76 3000 6000 0112 3456 7890 189", "BIC": "AGRIFRPPXXX"}],
        "Souscription": [{"offre": offer, "contrats": [sold]}],
        "commercial": {"id": REP, "nom": "Doe", "prenom": "John", "email": "john.doe@example.org"},
        "identityCard": None,
        **differences,
    }
