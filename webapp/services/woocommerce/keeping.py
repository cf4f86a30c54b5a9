"""Keeping: of all that a shop ever said of a resource, the greatest word stays, in whatever order it comes.

Called with the shop held (``projecting.hold``), in the caller's transaction, which projects what is kept afterwards.
"""

from datetime import datetime
from enum import StrEnum

from webapp import crypto
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.woocommerce import WooCommerceResource
from webapp.services.woocommerce.kept import Words
from webapp.services.woocommerce.reading import Customer, Deleted, Order, Resource, Sale


class Kept(StrEnum):
    """What a word is beside the one that is kept. NEWER ones are kept from now on."""

    NEWER = "newer"
    SAME = "same"
    OLDER = "older"


def keep(words: Words, word: Resource | Deleted, *, at: datetime, is_shown: bool = False) -> Kept:
    """Keep a word if it is the greatest so far; ``at`` is when we got it. ``words`` were loaded with it.

    ``is_shown``: it was read from the shop just now, so that it holds against one of the same second, whatever that
    says. A refund that is taken back, for one, changes no date.
    """
    row = words.row((word.kind, word.woo_id)) or _make(words, word)
    if isinstance(word, Deleted):
        return _miss(row, at)
    _see(row, at)
    told = _compare(row, word, is_shown=is_shown)
    if told is Kept.NEWER:
        _take(row, word, at)
        words.take(row, word)
    return told


def _make(words: Words, word: Resource | Deleted) -> WooCommerceResource:
    row = WooCommerceResource(
        organisation_id=words.shop.organisation_id,
        id=new_id(),
        shop_id=words.shop.id,
        kind=word.kind,
        woo_id=word.woo_id,
        body=None,
        status="",
        related_ids=[],
        review=[],
        review_closed=[],
    )
    db.session.add(row)
    words.take(row)
    return row


def _miss(row: WooCommerceResource, at: datetime) -> Kept:
    """A deletion names no instant: it holds from when we got it, unless the shop has shown the resource since."""
    if row.seen_at is not None and row.seen_at >= at:
        return Kept.OLDER
    if row.missing_since is not None:
        row.missing_since = max(row.missing_since, at)
        return Kept.SAME
    row.missing_since = at
    return Kept.NEWER


def _see(row: WooCommerceResource, at: datetime) -> None:
    """Bodies are made when they are sent: whatever the shop sends whole, it has."""
    row.seen_at = max(at, row.seen_at or at)
    if row.missing_since is not None and row.missing_since <= row.seen_at:
        row.missing_since = None


def _compare(row: WooCommerceResource, word: Resource, *, is_shown: bool) -> Kept:
    if row.hash is None or row.modified_at is None or row.rank is None:
        return Kept.NEWER
    if row.hash == word.hash:
        return Kept.SAME
    if is_shown and row.modified_at == word.modified_at:
        return Kept.NEWER
    return Kept.NEWER if word.standing > (row.modified_at, row.rank, row.hash) else Kept.OLDER


def _take(row: WooCommerceResource, word: Resource, at: datetime) -> None:
    # What is shown now takes the place of a word of the same second that stood above it: that one, told once more,
    # must not come back.
    is_same_second = row.modified_at == word.modified_at and row.rank is not None and row.rank >= word.rank
    row.rank = row.rank + 1 if is_same_second and row.rank is not None else word.rank
    row.modified_at, row.hash = word.modified_at, word.hash
    row.body = crypto.keyring().encrypt(word.canonical, place=row.place_of("body"))
    row.status, row.kept_at = word.status, at
    if isinstance(word, Customer):
        row.keep_email(word.email)
    if isinstance(word, Sale):
        row.keep_email(word.billing.email)
        row.customer_id, row.parent_id = word.customer_id or None, word.parent_id or None
    if isinstance(word, Order):
        row.related_ids = sorted(word.subscription_ids)
        row.number, row.placed_at, row.paid_at = word.number, word.created_at, word.paid_at
        row.total, row.currency = word.total, word.currency
