"""Shops (boutiques) as people connect them: who they are, how they are read, and the secret that signs their webhooks.

Keys and secrets go in, and never come out again; a secret that we make is told once, to whoever asked for it.
"""

import re
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import available_timezones

from sqlalchemy import ARRAY, Text, cast, func, literal, literal_column, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import contains_eager, undefer

from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.gateways import woocommerce
from webapp.models.base import new_id
from webapp.models.events import EventState
from webapp.models.organisations import Company
from webapp.models.subscriptions import Collector
from webapp.models.woocommerce import WooCommerceEvent, WooCommerceMapping, WooCommercePull, WooCommerceShop
from webapp.services.contact import clean_text
from webapp.services.preferences.schemas import list_schemas
from webapp.services.woocommerce import sources, topics
from webapp.services.woocommerce.topics import TOPICS
from webapp.transactions import transaction

NAME_LENGTH = 200
URL_LENGTH = 500
ATTRIBUTE_LENGTH = 100
MOST_ATTRIBUTES = 50
SECRET_LENGTH = 40
SECRET_LETTERS = string.ascii_letters + string.digits
"""Woo decodes HTML entities in a secret before it signs: letters and digits mean the same on both sides."""
MOST_SECRETS = 5
YEARS = range(2000, 2100)
_KEYS = {"consumer_key": "ck_", "consumer_secret": "cs_"}
"""The two parts of a REST key, and how WooCommerce begins each."""
_KEY = re.compile(r"[!-~]{1,200}")

NO_SHOP = "Cette boutique n’existe pas ou plus."


class SecretChangedError(DomainError):
    """Somebody else has made or ended a secret since the page was shown."""

    def __init__(self) -> None:
        super().__init__("Le secret a changé depuis l’affichage de cette page. Rien n’a été modifié\u202f: vérifiez.")


@dataclass(frozen=True, kw_only=True)
class ShopFields:
    """What is typed of a shop. ``ships_from`` None is now. Keys that are empty stay as they were.

    ``attribute_codes`` are pairs: an attribute's name, and the code of the preference that it becomes.
    """

    name: str
    url: str
    company_id: UUID | None
    timezone: str = "Europe/Paris"
    collected_by: Collector = Collector.SHOP
    ships_from: datetime | None = None
    attribute_codes: Sequence[tuple[str, str]] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    forgets_keys: bool = False


def fields_of(shop: WooCommerceShop) -> ShopFields:
    """A shop as it is set; without its keys, which stay as they are."""
    return ShopFields(
        name=shop.name,
        url=shop.url,
        company_id=shop.company_id,
        timezone=shop.timezone,
        collected_by=shop.collected_by,
        ships_from=shop.ships_from,
        attribute_codes=list(shop.attribute_codes.items()),
    )


def create_shop(fields: ShopFields, *, at: datetime) -> WooCommerceShop:
    """Connect a shop; it has no secret yet. Raises InvalidInputError naming the field."""
    shop = WooCommerceShop(id=new_id(), is_active=True)
    with transaction():
        shop.created_at = at
        _set(shop, fields, at=at)
        db.session.add(shop)
        _flush()
    return shop


def change_shop(shop_id: UUID, fields: ShopFields, *, at: datetime) -> WooCommerceShop:
    """Change a shop's settings. Raises NotFoundError; InvalidInputError naming the field.

    Whoever is reported already belongs to the company: it stays.
    """
    with transaction():
        shop = _lock(shop_id)
        if fields.company_id != shop.company_id and _is_reported(shop):
            raise InvalidInputError(
                "Des clients de cette boutique sont déjà reportés\u202f: sa société ne change plus.", field="company_id"
            )
        _set(shop, fields, at=at)
        _flush()
    return shop


def set_active(shop_id: UUID, *, is_active: bool) -> WooCommerceShop:
    """Switch a shop on or off: nothing is taken from one that is off. Raises NotFoundError."""
    with transaction():
        shop = _lock(shop_id)
        shop.is_active = is_active
    return shop


def _set(shop: WooCommerceShop, fields: ShopFields, *, at: datetime) -> None:
    shop.name = _name(fields.name)
    shop.url, shop.source = _address(fields.url)
    shop.company_id = _company(fields.company_id)
    shop.timezone = _zone(fields.timezone)
    shop.collected_by = fields.collected_by
    shop.ships_from = _ships_from(fields.ships_from or shop.ships_from or at)
    shop.attribute_codes = _attributes(fields.attribute_codes)
    _set_keys(shop, fields)


def _flush() -> None:
    try:
        with db.session.begin_nested():
            db.session.flush()
    except IntegrityError as error:
        raise InvalidInputError("Cette boutique est déjà connectée.", field="url") from error


def _name(text: str) -> str:
    name = clean_text(text)
    if not 1 <= len(name) <= NAME_LENGTH:
        raise InvalidInputError(f"Donnez un nom de 1 à {NAME_LENGTH} caractères.", field="name")
    return name


def _address(text: str) -> tuple[str, str]:
    """The address, and what the shop calls itself in its deliveries."""
    url = text.strip()
    if not 1 <= len(url) <= URL_LENGTH or not url.isascii() or not url.isprintable():
        raise InvalidInputError(
            f"Donnez l’adresse de la boutique, de {URL_LENGTH} caractères au plus, comme https://boutique.fr.",
            field="url",
        )
    woocommerce.check_url(url)
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise InvalidInputError("Donnez l’adresse sans rien après «\u00a0?\u00a0» ni «\u00a0#\u00a0».", field="url")
    return url, sources.normalised(url)


def _company(company_id: UUID | None) -> UUID:
    found = db.session.scalar(select(Company.id).where(Company.id == company_id))
    if found is None:
        raise InvalidInputError("Choisissez une société.", field="company_id")
    return found


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise InvalidInputError(
            "Ce fuseau horaire n’existe pas\u202f: choisissez celui des réglages de WordPress.", field="timezone"
        )
    return name


def _ships_from(instant: datetime) -> datetime:
    if instant.year not in YEARS:
        raise InvalidInputError(f"Choisissez une date entre {YEARS[0]} et {YEARS[-1]}.", field="ships_from")
    return instant


def _attributes(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    codes = {schema.code for schema in list_schemas()}
    kept: dict[str, str] = {}
    for written, code in pairs:
        name = clean_text(written)
        if not name and not code:
            continue
        if not 1 <= len(name) <= ATTRIBUTE_LENGTH:
            raise InvalidInputError(
                f"Donnez à chaque préférence le nom d’un attribut, de 1 à {ATTRIBUTE_LENGTH} caractères.",
                field="attribute_codes",
            )
        if code not in codes:
            raise InvalidInputError(f"Choisissez la préférence de «\u00a0{name}\u00a0».", field="attribute_codes")
        if name.casefold() in {each.casefold() for each in kept}:
            raise InvalidInputError(f"«\u00a0{name}\u00a0» y est deux fois.", field="attribute_codes")
        kept[name] = code
    if len(kept) > MOST_ATTRIBUTES:
        raise InvalidInputError(f"{MOST_ATTRIBUTES} attributs au plus.", field="attribute_codes")
    return kept


def _set_keys(shop: WooCommerceShop, fields: ShopFields) -> None:
    given = {name: value.strip() for name, value in fields.keys.items() if value.strip()}
    if fields.forgets_keys and not given:
        shop.credentials = None
        return
    if not given:
        return
    for name, beginning in _KEYS.items():
        if name not in given:
            raise InvalidInputError("La clé a deux parties\u202f: donnez les deux.", field=name)
        if not given[name].startswith(beginning) or not _KEY.fullmatch(given[name]):
            raise InvalidInputError(f"Elle commence par {beginning}\u202f: copiez-la en entier.", field=name)
    shop.keep_credentials({name: given[name] for name in _KEYS})


# ---- The secret


def new_secret(shop_id: UUID, *, seen: datetime | None, at: datetime) -> str:
    """Make the secret that webhooks are to be signed with from now on, and tell it; those before still open.

    ``seen`` is ``secrets_changed_at`` as the page showed it: a form that is sent twice makes one. Raises NotFoundError,
    SecretChangedError, InvalidInputError where too many are still good.
    """
    with transaction():
        shop = _lock_secrets(shop_id, seen=seen)
        before = shop.secrets_in_clear()
        if len(before) >= MOST_SECRETS:
            raise InvalidInputError("Mettez d’abord fin aux anciens secrets.")
        secret = "".join(secrets.choice(SECRET_LETTERS) for _ in range(SECRET_LENGTH))
        shop.keep_secrets([secret, *before])
        shop.secrets_changed_at = at
    return secret


def end_old_secrets(shop_id: UUID, *, seen: datetime | None, at: datetime) -> None:
    """Let the newest secret alone be good. Raises NotFoundError, SecretChangedError."""
    with transaction():
        shop = _lock_secrets(shop_id, seen=seen)
        shop.keep_secrets(shop.secrets_in_clear()[:1])
        shop.secrets_changed_at = at


def _lock_secrets(shop_id: UUID, *, seen: datetime | None) -> WooCommerceShop:
    shop = _lock(shop_id)
    if shop.secrets_changed_at != seen:
        raise SecretChangedError
    return shop


def _lock(shop_id: UUID) -> WooCommerceShop:
    statement = select(WooCommerceShop).where(WooCommerceShop.id == shop_id).with_for_update(key_share=True)
    shop = db.session.scalar(
        statement.options(undefer(WooCommerceShop.credentials), undefer(WooCommerceShop.secrets)).execution_options(
            populate_existing=True
        )
    )
    if shop is None:
        raise NotFoundError(NO_SHOP)
    return shop


# ---- Reading


class ShopRow(NamedTuple):
    """A line of the list: the shop, when it last told us anything, its last pull, and how many events failed."""

    shop: WooCommerceShop
    last_event_at: datetime | None
    last_pull: WooCommercePull | None
    failed: int

    @property
    def state(self) -> str:
        """``inactive``, ``failing`` or ``active``."""
        if not self.shop.is_active:
            return "inactive"
        return "failing" if self.failed else "active"


def list_shops() -> list[ShopRow]:
    """The shops of the current organisation, by name."""
    named = func.unnest(cast(list(TOPICS), ARRAY(Text))).table_valued("topic").render_derived()
    told_at = topics.last_told_at(WooCommerceShop.organisation_id, WooCommerceShop.id, named.c.topic)
    last_event_at = select(func.max(told_at)).select_from(named).scalar_subquery()
    failed = (
        select(func.count())
        .select_from(WooCommerceEvent)
        .where(
            WooCommerceEvent.organisation_id == WooCommerceShop.organisation_id,
            WooCommerceEvent.shop_id == WooCommerceShop.id,
            # The value itself: a bound parameter would not be recognised as the partial index's in a generic plan.
            WooCommerceEvent.state == literal_column(f"'{EventState.FAILED.value}'"),
        )
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(WooCommerceShop, last_event_at, failed)
        .join(WooCommerceShop.company)
        .options(contains_eager(WooCommerceShop.company), undefer(WooCommerceShop.credentials))
        .order_by(func.lower(WooCommerceShop.name), WooCommerceShop.id)
    ).all()
    pulls = _last_pulls()
    return [ShopRow(shop, last, pulls.get(shop.id), number) for shop, last, number in rows]


def _last_pulls() -> dict[UUID, WooCommercePull]:
    newest = (
        select(WooCommercePull)
        .ext(distinct_on(WooCommercePull.shop_id))
        .order_by(WooCommercePull.shop_id, WooCommercePull.started_at.desc(), WooCommercePull.id.desc())
    )
    return {pull.shop_id: pull for pull in db.session.scalars(newest)}


def find_shop(shop_id: UUID) -> WooCommerceShop:
    """A shop of the current organisation, its company, keys and secrets with it. Raises NotFoundError."""
    shop = db.session.scalar(
        select(WooCommerceShop)
        .join(WooCommerceShop.company)
        .where(WooCommerceShop.id == shop_id)
        .options(
            contains_eager(WooCommerceShop.company),
            undefer(WooCommerceShop.credentials),
            undefer(WooCommerceShop.secrets),
        )
        .execution_options(populate_existing=True)
    )
    if shop is None:
        raise NotFoundError(NO_SHOP)
    return shop


def list_names() -> list[tuple[UUID, str]]:
    """Id and name of every shop, by name."""
    rows = db.session.execute(
        select(WooCommerceShop.id, WooCommerceShop.name).order_by(func.lower(WooCommerceShop.name), WooCommerceShop.id)
    )
    return [(shop_id, name) for shop_id, name in rows]


def _is_reported(shop: WooCommerceShop) -> bool:
    """Whether anything of the shop has become a row of ours."""
    return db.session.scalar(select(literal(True)).where(WooCommerceMapping.shop_id == shop.id).limit(1)) is not None
