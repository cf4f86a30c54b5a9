"""``python -m demo.seed``: the demo organisations, so that the first sign-in finds a CRM already in use.

Safe to run at every start: an organisation that exists is left as it is. Everybody is made up; e-mail domains and
telephone numbers are ranges reserved for fiction.
"""

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

from demo import prospects
from demo.carriers import add_carrier
from demo.covers import add_covers
from demo.operators import add_operator
from demo.senders import add_senders
from demo.shops import add_shop
from demo.subscriptions import add_subscriptions
from webapp import clock, crypto, tenancy
from webapp.config import load_settings
from webapp.extensions import db
from webapp.factory import create_app
from webapp.iban import iban_purpose, mask_iban
from webapp.models.banking import BankAccount, Mandate, MandateStatus
from webapp.models.base import new_id
from webapp.models.clients import Civility, Client, ClientStatus
from webapp.models.commercials import Commercial, Team, TeamLeader
from webapp.models.contracts import Contract, ContractLine, ContractStatus, PaymentMethod
from webapp.models.identity import User
from webapp.models.organisations import Company, Organisation
from webapp.models.products import Product
from webapp.models.timeline import EventKind, TimelineEvent
from webapp.models.winleadplus import WinLeadPlusConfig
from webapp.transactions import transaction

ACCOUNTS = Path(__file__).parent / "accounts.json"
OLDEST = 700
"""How many days ago, roughly, the first client came."""

LAST_NAMES = (
    "Martin Bernard Thomas Petit Robert Richard Durand Dubois Moreau Laurent Simon Michel Lefèvre Leroy Roux David "
    "Bertrand Morel Fournier Girard Bonnet Dupont Lambert Fontaine Rousseau Vincent Muller Faure André Mercier "
    "Blanc Guérin Boyer Garnier Chevalier François Legrand Gauthier Perrin Robin Clément Morin Nicolas Henry "
    "Roussel Mathieu Gautier Masson Marchand Duval Denis Dumont Marie Lemaire Noël Meyer Dufour Meunier Brun Blanchard"
).split()
WOMEN = "Élodie Anaïs Chloé Camille Inès Zoé Léa Manon Juliette Agathe Noémie Hélène Françoise Aïcha Maëlle".split()
MEN = "Karim Jean-Pierre Loïc Hugo Théo Mathéo François André Étienne Gaël Benoît Jérôme Rémi Yanis Noël".split()
TOWNS = (
    ("59000", "Lille"), ("59200", "Tourcoing"), ("62000", "Arras"), ("80000", "Amiens"), ("76000", "Rouen"),
    ("35000", "Rennes"), ("44000", "Nantes"), ("33000", "Bordeaux"), ("31000", "Toulouse"), ("34000", "Montpellier"),
    ("13001", "Marseille"), ("06000", "Nice"), ("69003", "Lyon"), ("38000", "Grenoble"), ("42000", "Saint-Étienne"),
    ("67000", "Strasbourg"), ("54000", "Nancy"), ("21000", "Dijon"), ("63000", "Clermont-Ferrand"), ("75011", "Paris"),
)  # fmt: skip
STREETS = ("rue des Lilas", "avenue Jean-Jaurès", "place de la République", "rue de l’Église", "chemin des Vignes")
OFFERS = (
    ("Électricité verte", "Énergie", "Voltérra", "89.90"),
    ("Gaz sérénité", "Énergie", "Voltérra", "64.50"),
    ("Fibre 2 Gb/s", "Télécom", "Télécâble", "39.99"),
    ("Mobile 100 Go", "Télécom", "Télécâble", "15.99"),
    ("Assistance habitation", "Assurance", "Depanssur", "12.90"),
    ("Box café découverte", "Box", "Torréfaction du Port", "24.00"),
)
WEIGHTS = {"Box": 850}
"""Grams, by kind of offer; what is not there is not shipped."""
OTHER_CLIENTS = 8
DEMO_CLIENTS = 60


def seed() -> None:
    """Make both organisations, where they do not exist yet, each in one transaction."""
    accounts = json.loads(ACCOUNTS.read_text())["accounts"]
    for slug, name, count in (("demo", "Démo Énergies", DEMO_CLIENTS), ("autre", "Autre Maison", OTHER_CLIENTS)):
        with tenancy.across_organisations():
            if db.session.scalar(select(Organisation.id).where(Organisation.slug == slug)):
                continue
        organisation = Organisation(id=new_id(), slug=slug, name=name)
        with transaction(), tenancy.organisation(organisation.id):
            db.session.add(organisation)
            db.session.flush()
            commercials = _people([account for account in accounts if account["organisation"] == slug])
            db.session.add(WinLeadPlusConfig(enabled=slug == "demo"))
            _clients(count, random.Random(slug), commercials)
    with tenancy.across_organisations():
        demo = db.session.scalars(select(Organisation.id).where(Organisation.slug == "demo")).one()
    with tenancy.organisation(demo):
        add_senders()
        add_carrier()
        add_shop()
        add_subscriptions()
        add_covers()
        add_operator()


def _people(accounts: list[dict[str, Any]]) -> list[Commercial]:
    """Users announced ahead of their first sign-in, the commercials among them, and the teams."""
    users: dict[str, User] = {}
    commercials: dict[str, Commercial] = {}
    for account in accounts:
        user = User(
            id=new_id(),
            subject=account["sub"],
            email=account["email"],
            first_name=account["given_name"],
            last_name=account["family_name"],
            roles=account["roles"],
        )
        users[account["username"]] = user
        db.session.add(user)
        if "commercial" in account["roles"]:
            commercials[account["username"]] = Commercial(
                id=new_id(),
                user_id=user.id,
                external_id=account["sub"],
                email=account["email"],
                first_name=account["given_name"],
                last_name=account["family_name"],
            )
    db.session.flush()
    for account in accounts:
        if account.get("leads"):
            team = Team(id=new_id(), name=f"Équipe {account['username'].partition('.')[2].capitalize()}")
            db.session.add(team)
            db.session.flush()
            db.session.add(TeamLeader(team_id=team.id, user_id=users[account["username"]].id))
            for username in account["leads"]:
                commercials[username].team_id = team.id
    db.session.add_all(commercials.values())
    db.session.flush()
    return list(commercials.values())


def _clients(count: int, chance: random.Random, commercials: list[Commercial]) -> None:
    company = Company(id=new_id(), name="Société principale", siren="732829320", is_default=True)
    db.session.add(company)
    products = [_product(name, kind, by) for name, kind, by, _price in OFFERS]
    db.session.add_all([*products, *_unshipped_of_winleadplus()])
    db.session.flush()
    for number in range(count):
        client = _client(number, chance, chance.choice([*commercials, None]) if commercials else None)
        db.session.add(client)
        db.session.flush()
        signed = list(_contracts(number, chance, client, company.id, products))
        if signed:
            client.status = ClientStatus.ACTIVE
            _bank_account(chance, client, company.id)
        db.session.add(TimelineEvent(client_id=client.id, kind=EventKind.CLIENT_CREATED, at=client.created_at))
    db.session.flush()


def _product(name: str, kind: str, supplier: str) -> Product:
    weight = WEIGHTS.get(kind)
    return Product(
        id=new_id(), name=name, category=kind, supplier=supplier, is_shipped=weight is not None, weight_g=weight
    )


def _unshipped_of_winleadplus() -> list[Product]:
    """What the pretend WinLeadPlus sells and nobody ships: a synchronisation finds it, and makes the rest."""
    known = {name.casefold() for name, *_ in OFFERS}
    return [
        _product(offer.nom, offer.categorie, offer.fournisseur)
        for offer in prospects.OFFERS
        if offer.categorie not in WEIGHTS and offer.nom.casefold() not in known
    ]


def _client(number: int, chance: random.Random, commercial: Commercial | None) -> Client:
    is_woman = chance.random() < 0.5
    postcode, town = chance.choice(TOWNS)
    drawn = chance.randint(3, OLDEST)
    # Squared: most of them came lately, so that the present month has figures. Contracts follow within three days.
    made = clock.now() - timedelta(days=4 + drawn**2 // OLDEST, minutes=chance.randint(0, 600))
    return Client(
        id=new_id(),
        civility=Civility.MRS if is_woman else Civility.MR,
        last_name=LAST_NAMES[number % len(LAST_NAMES)].upper(),
        first_name=chance.choice(WOMEN if is_woman else MEN),
        email=f"client.{number:02d}@example.com",
        phone=f"+331990000{number:02d}" if number % 10 else None,
        address_line1=f"{chance.randint(1, 120)} {chance.choice(STREETS)}",
        postcode=postcode,
        city=town,
        commercial_id=commercial.id if commercial else None,
        status=chance.choice([ClientStatus.PROSPECT, ClientStatus.PROSPECT, ClientStatus.INACTIVE]),
        created_at=made,
        changed_at=made + timedelta(hours=chance.randint(0, 60)),
    )


def _contracts(
    number: int, chance: random.Random, client: Client, company_id: UUID, products: list[Product]
) -> Iterator[Contract]:
    for rank in range(chance.choice([0, 1, 1, 1, 2, 3])):
        offer = chance.randrange(len(OFFERS))
        price = Decimal(OFFERS[offer][3])
        signed = client.created_at + timedelta(days=rank + 1)
        contract = Contract(
            id=new_id(),
            client_id=client.id,
            company_id=company_id,
            commercial_id=client.commercial_id,
            reference=f"CRM-{number:03d}-{rank + 1}",
            status=chance.choice([ContractStatus.ACTIVE] * 4 + [ContractStatus.PENDING, ContractStatus.TERMINATED]),
            supplier=OFFERS[offer][2],
            amount=price,
            signed_at=signed,
            starts_on=signed.date() + timedelta(days=14),
            payment_method=PaymentMethod.SEPA,
            withdrawal_day=chance.choice([5, 10, 15]),
        )
        db.session.add(contract)
        db.session.flush()
        line = ContractLine(
            contract_id=contract.id, position=0, product_id=products[offer].id, label=OFFERS[offer][0], unit_price=price
        )
        db.session.add(line)
        yield contract


def _bank_account(chance: random.Random, client: Client, company_id: UUID) -> None:
    iban, account_id, organisation_id = _iban(chance), new_id(), client.organisation_id
    db.session.add(
        BankAccount(
            id=account_id,
            client_id=client.id,
            iban=crypto.seal(iban, place=BankAccount.place(organisation_id, account_id, "iban")),
            iban_index=crypto.blind_index(iban, purpose=iban_purpose(organisation_id)),
            iban_masked=mask_iban(iban),
            holder=client.full_name,
        )
    )
    db.session.flush()
    mandate = Mandate(
        client_id=client.id,
        bank_account_id=account_id,
        company_id=company_id,
        status=MandateStatus.ACTIVE,
        umr=f"RUM-{str(client.id)[-12:].upper()}",
        signed_on=client.created_at.date(),
    )
    db.session.add(mandate)


def _iban(chance: random.Random) -> str:
    """A French IBAN with right check digits, of a bank code that is nobody's."""
    body = "99999" + "".join(chance.choice("0123456789") for _ in range(16))
    rib_key = 97 - (89 * int(body[:5]) + 15 * int(body[5:10]) + 3 * int(body[10:])) % 97
    account = f"{body}{rib_key:02d}"
    check = 98 - int(f"{account}152700") % 97
    return f"FR{check:02d}{account}"


if __name__ == "__main__":
    application = create_app(load_settings())
    with application.app_context():
        seed()
