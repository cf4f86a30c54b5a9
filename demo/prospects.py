"""Pretend WinLeadPlus prospects: fictional French people with contracts, the same ones on every run.

A prospect is a pure function of its index and of how often it was changed, so that a million of them can be
streamed with flat memory, and a test can ask for the 17th alone. Nobody here exists: e-mails use the domains
reserved for examples, telephones the ranges that Arcep reserves for fiction, IBANs a bank code nobody holds.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

T = TypeVar("T")
Prospect = dict[str, Any]

# Dates are counted back from here and not from today, so that the payload does not change overnight.
BASE_DATE: Final = datetime(2026, 11, 1, 18, 0, tzinfo=UTC)
OLDEST_DAYS: Final = 729

FIRST_ID: Final = 1000
FIRST_CONTRACT: Final = 8_100_000
CONTRACTS_PER_PROSPECT: Final = 8  # numbers set aside per prospect; fewer are used


class Commercial(NamedTuple):
    """A salesperson as WinLeadPlus knows them; ``id`` is the subject of their Keycloak account."""

    id: str
    nom: str
    prenom: str
    email: str


class Town(NamedTuple):
    """A town, its postcode and the fiction-only telephone prefix of its zone."""

    ville: str
    code_postal: str
    prefix: str


class Offer(NamedTuple):
    """Something sold: its name, category, price range in cents, supplier and reference suffix."""

    nom: str
    categorie: str
    cents: tuple[int, int]
    fournisseur: str
    suffix: str


FURTHER_COMMERCIALS: Final = (
    Commercial("a3c1e5f7-0b2d-4f46-8a91-c0d2e4f60811", "MARCHAND", "Olivier", "olivier.marchand@example.org"),
    Commercial("b4d2f608-1c3e-4057-9ba2-d1e3f5071922", "LE GOFF", "Maëlle", "maelle.legoff@example.org"),
    Commercial("c5e30719-2d4f-4168-8cb3-e2f406182a33", "N’DIAYE", "Aminata", "aminata.ndiaye@example.org"),
    Commercial("d6f4182a-3e50-4279-9dc4-f30517293b44", "PEREIRA", "Hugo", "hugo.pereira@example.org"),
    Commercial("e705293b-4f61-438a-8ed5-0416283a4c55", "SCHNEIDER", "Élodie", "elodie.schneider@example.org"),
    Commercial("f8163a4c-5072-449b-9fe6-1527394b5d66", "DE LA CROIX", "Jean-Marc", "jm.delacroix@example.org"),
)

FIRST_NAMES: Final = tuple(
    """Adèle Adrien Agathe Aïcha Alexandre Alice Amandine Anaïs André Antoine Arnaud Aurélie Axel Baptiste
    Béatrice Benoît Camille Cécile Céline Chloé Christophe Clémence Clément Coralie Cyril Damien Danièle
    Delphine Denis Didier Édouard Éléonore Élise Émeline Émile Emmanuel Éric Estelle Étienne Eugénie Fabien
    Fatima Félix Florence Florian François Françoise Frédéric Gaël Gaëlle Geneviève Georges Gérard Grégoire
    Guillaume Hélène Henri Hervé Inès Irène Isabelle Jacques Jean-Baptiste Jean-Luc Jérôme Joëlle Joséphine
    Julien Karim Laëtitia Laurent Léa Léonie Loïc Louise Lucie Ludovic Maëlys Manon Marc-Antoine
    Marie-Amélie Marie-Thérèse Mathéo Maxime Mélanie Mehdi Michaël Mireille Myriam Nathanaël Nicolas Noé
    Noëlle Océane Pascale Philippe Pierre-Yves Quentin Rachid Raphaël Régis Rémi Romane Samira Sandrine
    Simon Solène Stéphane Sylvain Tanguy Théo Thérèse Valérie Véronique Victor Xavier Yannick Yasmine Yves
    Zoé""".split()
)
LAST_NAMES: Final = tuple(
    name.strip()
    for name in """Aubert, Barbier, Baudry, Béranger, Berthelot, Besnard, Blanchard, Boucher, Bourgeois, Boutin,
    Brémond, Briand, Cailleux, Caron, Carpentier, Castaing, Chauvière, Chevalier, Colin, Cordier, Crépin,
    d’Aubigny, Daniélou, Dauphin, de La Tour, de Saint-Aubin, Delaunay, Descamps, Diallo, Dos Santos, Dubreuil,
    Duchêne, Dufaÿ, Dupré, Etcheverry, Evrard, Fauré, Ferrand, Fleury, Fontaine, Fournier, Gaillard, Garnier,
    Gauthier, Géraud, Gonçalves, Grégoire, Guérin, Guichard, Haddad, Hamelin, Hébert, Hoffmann, Huguenin, Imbert,
    Jaouen, Joly, Julliard, Kerautret, Kieffer, Labbé, Lacombe, Lagarde, Lambert-Roux, Laurençon, Le Bihan,
    Le Floc’h, Leclère, Lefèvre, Legrand, Lemoîne, Lévêque, Lopez, Maréchal, Martinez, Masson, Mauduit, Ménard,
    Mercier, Meyer, Michelet, Moreau-Petit, Morvan, Müller, Navarro, N’Guessan, Nguyen, Noël, Ollivier, Pagès,
    Pasquier, Pélissier, Perrin, Picard, Poirier, Prévost, Quéméner, Raynaud, Rénier, Rivière, Rochefort,
    Roussel, Saïdi, Salomé, Sánchez, Séguin, Simonet, Tanguy-Le Roy, Tessier, Thévenin, Traoré, Vaillant,
    Vasseur, Verdier, Vidal, Vuillaume, Weber, Yildiz, Zimmermann""".split(",")
)
TOWNS: Final = (
    Town("Paris", "75011", "019900"),
    Town("Saint-Denis", "93200", "019900"),
    Town("Créteil", "94000", "019900"),
    Town("Versailles", "78000", "019900"),
    Town("Nantes", "44000", "026191"),
    Town("Rennes", "35000", "026191"),
    Town("Brest", "29200", "026191"),
    Town("Le Mans", "72000", "026191"),
    Town("Saint-Brieuc", "22000", "026191"),
    Town("Lille", "59000", "035301"),
    Town("Villeneuve-d’Ascq", "59491", "035301"),
    Town("Saint-Étienne-au-Mont", "62360", "035301"),
    Town("Strasbourg", "67000", "035301"),
    Town("Besançon", "25000", "035301"),
    Town("L’Haÿ-les-Roses", "94240", "019900"),
    Town("Lyon", "69003", "046571"),
    Town("Marseille", "13006", "046571"),
    Town("Aix-en-Provence", "13100", "046571"),
    Town("Montpellier", "34000", "046571"),
    Town("Bourg-en-Bresse", "01000", "046571"),
    Town("Ajaccio", "20000", "046571"),
    Town("Toulouse", "31000", "053649"),
    Town("Bordeaux", "33000", "053649"),
    Town("Pau", "64000", "053649"),
    Town("Périgueux", "24000", "053649"),
)
MOBILE_PREFIX: Final = "063998"
STREETS: Final = (
    "rue des Lilas", "avenue de la République", "boulevard Voltaire", "impasse du Moulin", "chemin des Vignes",
    "place de l’Église", "rue du Général-Leclerc", "allée des Érables", "rue Jean-Jaurès", "quai de la Loire",
    "route d’Orléans", "rue Émile-Zola", "cours Gambetta", "sentier du Pré-aux-Clercs",
)  # fmt: skip
COMPLEMENTS: Final = (
    "Bâtiment B",
    "Résidence Les Tilleuls",
    "3e étage",
    "Appartement 12",
    "Lieu-dit Le Bourg",
)
MAIL_DOMAINS: Final = ("example.org", "example.org", "example.com", "example.net", "courriel.example.org")
OFFERS: Final = (
    Offer("Élec Verte 6 kVA", "Énergie", (4200, 9800), "Voltaé", "ENR"),
    Offer("Gaz Sérénité", "Énergie", (5500, 13900), "Méthania", "ENR"),
    Offer("Duo Élec + Gaz", "Énergie", (9900, 19900), "Voltaé", "ENR"),
    Offer("Fibre 2 Gb/s", "Télécom", (2999, 4999), "Lumifibre", "TEL"),
    Offer("Forfait mobile 120 Go", "Télécom", (799, 2499), "Lumifibre", "TEL"),
    Offer("Télécâble Sat", "Divertissement", (220, 3900), "Télécâble", "WNC"),
    Offer("Bouquet Cinéma & Séries", "Divertissement", (990, 2990), "Télécâble", "WNC"),
    Offer("Protection Dépannage Maison", "Assurance", (690, 2490), "Dépansûr", "ASS"),
    Offer("Assurance Habitation Confort", "Assurance", (1290, 4490), "Garantia", "ASS"),
    Offer("Garantie Électroménager", "Assurance", (590, 1590), "Garantia", "ASS"),
    Offer("Box Découverte Terroir", "Box", (1990, 3990), "La Bonne Caisse", "BOX"),
    Offer("Box Beauté du Mois", "Box", (1490, 2990), "La Bonne Caisse", "BOX"),
)
# Weighted as a sales floor is: most files end well.
STATUSES: Final = (
    "Validé", "Validé", "Validé", "Validé", "Validé", "Validé", "Validé", "Validé", "En attente", "En attente",
    "En cours", "En cours", "Annulé", "Rejeté", "Résilié", "Brouillon",
)  # fmt: skip
NEXT_STATUS: Final = {
    "Brouillon": "En attente",
    "En attente": "En cours",
    "En cours": "Validé",
    "Validé": "Résilié",
    "Résilié": "Validé",
    "Annulé": "En attente",
    "Rejeté": "En attente",
}
VALIDATED: Final = frozenset({"Validé", "Résilié"})
FRENCH_BICS: Final = ("FICTFRPPXXX", "DEMOFRP1XXX", "ESSAFR2AXXX")

# Four digits after a prefix. Those of unchanged prospects and of changed ones do not overlap, nor do they
# reach into 01 99 00 00 xx, which the CRM's own demo clients use.
FIRST_DIGITS: Final = range(100, 6000)
CHANGED_DIGITS: Final = range(6000, 10000)


@cache
def commercials() -> tuple[Commercial, ...]:
    """The two who can sign in to the demo, then six that only the sync knows."""
    cast = json.loads((Path(__file__).parent / "accounts.json").read_text(encoding="utf-8"))
    with_account = [Commercial(**a["winleadplus"]) for a in cast["accounts"] if "winleadplus" in a]
    return (*with_account, *FURTHER_COMMERCIALS)


def prospects(count: int, *, start: int = 0, changed: Mapping[int, int] | None = None) -> Iterator[Prospect]:
    """``count`` prospects from index ``start``, both payload generations mixed, built one at a time.

    ``changed`` tells how many times the prospect of an index was edited upstream since it was created.
    """
    changed = changed or {}
    for index in range(start, start + count):
        yield prospect(index, revision=changed.get(index, 0))


def prospect(index: int, *, revision: int = 0) -> Prospect:
    """The prospect of an index. An edit gives it another telephone, address, status and first price."""
    draw = Draw("prospect", index)
    identity = _identity(index, draw)
    # Early on every commercial comes once with its name, before anyone names it by id alone.
    commercial = _commercial(index, draw)
    second_generation = draw.chance(1, 2) or index < len(commercials())
    contracts = _contracts(index, draw, revision)
    home = Draw("home", index * 1000 + revision)
    town = home.pick(TOWNS)
    head = {
        "idProspect": FIRST_ID + index,
        **identity,
        "telephone": _telephone(index, revision, town, draw),
        **_address(town, home, draw.pick(("flat", "flat", "nested"))),
        "commercialId": commercial.id if commercial else None,
    }
    if second_generation:
        return _second_generation(head, contracts, commercial, index, draw)
    return _first_generation(head, contracts, index, draw)


class Draw:
    """Choices that depend on a name and a number alone: on no seed, Python version or order of calls elsewhere.

    Each choice takes its share out of one 512-bit digest, far more than a prospect needs, which is several
    times quicker than seeding ``random.Random`` per prospect.
    """

    __slots__ = ("_rest",)

    def __init__(self, name: str, number: int) -> None:
        self._rest = int.from_bytes(blake2b(f"{name}:{number}".encode()).digest(), "big")

    def below(self, limit: int) -> int:
        self._rest, choice = divmod(self._rest, limit)
        return choice

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def chance(self, times: int, out_of: int) -> bool:
        return self.below(out_of) < times


def _identity(index: int, draw: Draw) -> Prospect:
    """Name and e-mail. The pair of names is unique until all are used up, then the e-mail takes a number."""
    pairs = len(FIRST_NAMES) * len(LAST_NAMES)
    turn = index // pairs
    # 7919 is prime to their number: a walk through all pairs that visits each once, well shuffled.
    first, last = divmod(index * 7919 % pairs, len(LAST_NAMES))
    prenom, nom = FIRST_NAMES[first], LAST_NAMES[last]
    local = f"{_slug(prenom)}.{_slug(nom)}" + (f"{turn + 1}" if turn else "")
    return {
        "nom": nom.upper() if draw.chance(2, 3) else nom,
        "prenom": prenom,
        "email": f"{local}@{draw.pick(MAIL_DOMAINS)}",
    }


@cache
def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    return plain.replace(" ", "")


def _commercial(index: int, draw: Draw) -> Commercial | None:
    everyone = commercials()
    if index < len(everyone):
        return everyone[index]
    if draw.chance(1, 30):
        return None
    # The two demo accounts have a good share, so that whoever signs in finds clients of their own.
    return everyone[draw.below(2)] if draw.chance(2, 5) else draw.pick(everyone)


def _telephone(index: int, revision: int, town: Town, draw: Draw) -> str | None:
    """A fiction-only number in one of the spellings people use; unique for the first 5,900 prospects."""
    mobile, spelling, silent = draw.chance(3, 5), draw.below(8), draw.chance(1, 4)
    if index >= len(FIRST_DIGITS) and silent:
        return None
    digits = CHANGED_DIGITS if revision else FIRST_DIGITS
    # 3571 is prime to both lengths, so neighbours differ; 307 keeps the edits of some 300 prospects apart.
    last = digits[(index + revision * 307) * 3571 % len(digits)]
    return _spell(f"{MOBILE_PREFIX if mobile else town.prefix}{last:04d}", spelling)


def _spell(number: str, spelling: int) -> str:
    first, *others = (number[at : at + 2] for at in range(0, 10, 2))
    spaced = f"{first[1]} {' '.join(others)}"
    spellings = (
        number,
        number,
        f"0{spaced}",
        f"{first}.{'.'.join(others)}",
        f"+33 {spaced}",
        f"+33{number[1:]}",
        f"0033 {spaced}",
        f"{first}-{'-'.join(others)}",
    )
    return spellings[spelling]


def _address(town: Town, home: Draw, shape: str) -> Prospect:
    street = f"{1 + home.below(180)}{home.pick(('', '', '', ' bis'))} {home.pick(STREETS)}"
    if shape == "flat":
        return {"adresse": street, "ville": town.ville, "codePostal": town.code_postal}
    complement = home.pick(COMPLEMENTS) if home.chance(1, 3) else None
    return {
        "adresse": {
            "rue": street,
            "complement": complement,
            "codePostal": town.code_postal,
            "ville": town.ville,
            "pays": "France",
        }
    }


class Sale(NamedTuple):
    """A contract and the offer it is about, before either generation's shape is given to it."""

    number: int
    titre: str
    statut: str
    signed: datetime | None
    validated: datetime | None
    cents: int
    offer: Offer


def _contracts(index: int, draw: Draw, revision: int) -> list[Sale]:
    """One to four sales of different offers at different prices: lines must find their contract by amount."""
    how_many = draw.pick((1, 1, 1, 1, 1, 2, 2, 3, 4))
    first_offer = draw.below(len(OFFERS))
    sales: list[Sale] = []
    taken: set[int] = set()
    for position in range(how_many):
        offer = OFFERS[(first_offer + position * 5) % len(OFFERS)]  # 5 is prime to 12: no offer twice
        sale = _sale(index * CONTRACTS_PER_PROSPECT + position, offer, draw, 0 if position else revision)
        while sale.cents in taken:
            sale = sale._replace(cents=sale.cents + 1)
        taken.add(sale.cents)
        sales.append(sale)
    return sales


def _sale(number: int, offer: Offer, draw: Draw, revision: int) -> Sale:
    lowest, highest = offer.cents
    cents = lowest + draw.below((highest - lowest) // 10 + 1) * 10 + revision * 150
    statut = draw.pick(STATUSES)
    for _ in range(revision % 7):
        statut = NEXT_STATUS[statut]
    milliseconds = draw.below(OLDEST_DAYS * 86_400_000)
    signed = BASE_DATE - timedelta(days=6, milliseconds=milliseconds)
    validated = signed + timedelta(hours=3 + draw.below(120))
    return Sale(
        number=number,
        titre=f"{FIRST_CONTRACT + number}{offer.suffix}",
        statut=statut,
        signed=None if statut == "Brouillon" else signed,
        validated=validated if statut in VALIDATED else None,
        cents=cents,
        offer=offer,
    )


def _first_generation(head: Prospect, sales: list[Sale], index: int, draw: Draw) -> Prospect:
    return {
        **head,
        "abonnements": [_abonnement(sale, sale.cents) for sale in sales[1:]] + _lines_of_first(sales, draw),
        "contrats": [
            {
                "id": 500 + sale.number,
                "titre": sale.titre,
                "statut": sale.statut,
                "dateSignature": _iso(sale.signed),
                "dateValidation": _iso(sale.validated),
                "montant": _euros(sale.cents),
                "fournisseur": sale.offer.fournisseur,
                "prospectId": head["idProspect"],
            }
            for sale in sales
        ],
        "informationsPaiement": _first_generation_payment(index, draw),
    }


def _lines_of_first(sales: list[Sale], draw: Draw) -> list[Prospect]:
    """A lone contract may hold two lines that add up to it; with several, each line has its contract's amount."""
    sale = sales[0]
    if len(sales) > 1 or draw.chance(2, 3):
        return [_abonnement(sale, sale.cents)]
    option = 100 + sale.cents % 7 * 10
    return [
        _abonnement(sale, sale.cents - option),
        {"offreId": 90, "nom": "Option Sérénité", "categorie": "Option", "prix_base": _euros(option)},
    ]


def _abonnement(sale: Sale, cents: int) -> Prospect:
    offer = sale.offer
    return {
        "offreId": OFFERS.index(offer) + 1,
        "nom": offer.nom,
        "categorie": offer.categorie,
        "prix_base": _euros(cents),
    }


def _first_generation_payment(index: int, draw: Draw) -> list[Prospect]:
    if draw.chance(1, 8):
        return []
    return [{"iban": _iban(index, draw)[0], "mandatSepa": draw.chance(3, 4)}]


def _second_generation(
    head: Prospect, sales: list[Sale], commercial: Commercial | None, index: int, draw: Draw
) -> Prospect:
    return {
        **head,
        "informationsPaiement": _second_generation_payment(index, draw),
        "Souscription": [_souscription(sale) for sale in sales],
        "commercial": commercial._asdict() if commercial else None,
        "identityCard": _identity_card(head, index, draw) if draw.chance(1, 4) else None,
    }


def _souscription(sale: Sale) -> Prospect:
    offer = sale.offer
    return {
        "offre": {
            "nom": offer.nom,
            "categorie": offer.categorie,
            "prix_base": _euros(sale.cents),
            "fournisseur": offer.fournisseur,
        },
        "contrats": [
            {
                "titre": sale.titre,
                "statut": sale.statut,
                "description": f"{offer.nom} chez {offer.fournisseur}",
                "dateSignature": _iso(sale.signed),
                "dateValidation": _iso(sale.validated),
                "montant": _euros(sale.cents),
                "fournisseur": offer.fournisseur,
                "type": "ABONNEMENT",
                "documentUrl": f"/documents/{sale.titre}.pdf",
                "auditTrailUrl": f"/audit/{sale.titre}.pdf" if sale.validated else None,
            }
        ],
    }


def _second_generation_payment(index: int, draw: Draw) -> list[Prospect]:
    if draw.chance(1, 8):
        return []
    iban, bic = _iban(index, draw)
    if draw.chance(1, 2):
        iban = " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))
    return [{"IBAN": iban, "BIC": bic}]


def _identity_card(head: Prospect, index: int, draw: Draw) -> Prospect:
    born = datetime(1945, 1, 1, tzinfo=UTC) + timedelta(days=draw.below(21_900))
    issued = datetime(2019, 1, 1, tzinfo=UTC) + timedelta(days=draw.below(2_600))
    return {
        "type": "CNI",
        "numero": f"FICT{index:08d}",
        "nom": head["nom"],
        "prenom": head["prenom"],
        "dateNaissance": born.date().isoformat(),
        "lieuNaissance": draw.pick(TOWNS).ville,
        "dateDelivrance": issued.date().isoformat(),
        "dateExpiration": issued.replace(year=issued.year + 10, day=min(issued.day, 28)).date().isoformat(),
    }


def _iban(index: int, draw: Draw) -> tuple[str, str]:
    """A valid IBAN and a well-formed BIC, mostly French. The bank codes belong to no bank."""
    country = draw.below(40)
    account = index * 7_919 % 10**9 + 1_000
    if country == 0:
        return german_iban(99_999_999, account), "FICTDEFFXXX"
    if country == 1:
        return belgian_iban(999, account % 10**7), "FICTBEBBXXX"
    return french_iban(99_999, 1 + draw.below(40), account), draw.pick(FRENCH_BICS)


def french_iban(bank: int, branch: int, account: int) -> str:
    """IBAN of a French account: the national key (clé RIB) is right, and so is the IBAN's own checksum."""
    key = 97 - (89 * bank + 15 * branch + 3 * account) % 97
    return _with_checksum("FR", f"{bank:05d}{branch:05d}{account:011d}{key:02d}")


def german_iban(bank: int, account: int) -> str:
    return _with_checksum("DE", f"{bank:08d}{account:010d}")


def belgian_iban(bank: int, account: int) -> str:
    number = f"{bank:03d}{account:07d}"
    return _with_checksum("BE", f"{number}{int(number) % 97 or 97:02d}")


def _with_checksum(country: str, bban: str) -> str:
    """ISO 7064 mod 97-10: the letters of the country become two digits each, A = 10."""
    letters = "".join(str(ord(letter) - 55) for letter in country)
    return f"{country}{98 - int(f'{bban}{letters}00') % 97:02d}{bban}"


def _euros(cents: int) -> float:
    # JSON numbers are what WinLeadPlus sends; two decimals survive the trip through a float.
    return cents / 100


def _iso(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z" if moment else None
