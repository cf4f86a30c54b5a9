"""The columns that the list of duplicates can have: of each pair, then of both clients."""

from typing import Any

from sqlalchemy import Text, case, func

from webapp.models.duplicates import DuplicatePair, Evidence, PairScore
from webapp.services.duplicates.pairs import FIRST, FIRST_SELLER, SECOND, SECOND_SELLER
from webapp.services.list_columns import ListColumn, ValueKind, labels_of, told_of_each

_WHY = told_of_each(
    func.unnest(DuplicatePair.evidence),
    Text,
    of=DuplicatePair,
    word=lambda word: case(labels_of(Evidence), value=word),
    between=", ",
)


def _side(number: int, client: Any, seller: Any) -> tuple[ListColumn, ...]:
    name = func.nullif(func.btrim(func.concat(client.last_name, " ", client.first_name)), "")
    sold_by = func.nullif(func.btrim(func.concat(seller.first_name, " ", seller.last_name)), "")
    return (
        ListColumn(f"nom-{number}", f"Nom {number}", func.coalesce(name, "Sans nom")),
        ListColumn(f"naissance-{number}", f"Date de naissance {number}", client.birth_date, ValueKind.DAY),
        ListColumn(f"email-{number}", f"E-mail {number}", client.email),
        ListColumn(f"telephone-{number}", f"Téléphone {number}", client.phone),
        ListColumn(f"adresse-{number}", f"Adresse {number}", client.address_line1),
        ListColumn(f"code-postal-{number}", f"Code postal {number}", client.postcode),
        ListColumn(f"ville-{number}", f"Ville {number}", client.city),
        ListColumn(f"commercial-{number}", f"Commercial {number}", func.coalesce(sold_by, seller.email)),
        ListColumn(f"contrats-{number}", f"Contrats {number}", client.contracts_count, ValueKind.INTEGER),
        ListColumn(f"cree-{number}", f"Créé {number}", client.created_at, ValueKind.INSTANT),
    )


COLUMNS = (
    ListColumn(
        "certitude",
        "Certitude",
        DuplicatePair.score,
        ValueKind.CHOICE,
        labels={str(each.value): each.label for each in PairScore},
    ),
    ListColumn("pourquoi", "Pourquoi", _WHY),
    *_side(1, FIRST, FIRST_SELLER),
    *_side(2, SECOND, SECOND_SELLER),
    ListColumn("ecarte", "Écarté", DuplicatePair.dismissed_at, ValueKind.INSTANT),
)
