"""A body as managers see it: its shape, ids, dates, amounts and states; nothing that tells who somebody is.

What is not known to be harmless is masked: extensions of a shop write anything anywhere.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

MASK = "•••"
LONGEST = 100_000
"""Characters that are shown."""
LONGEST_TEXT = 200

HARMLESS = frozenset(
    """
    status currency currency_symbol version date_created date_created_gmt date_modified date_modified_gmt date_paid
    date_paid_gmt date_completed date_completed_gmt start_date start_date_gmt trial_end_date trial_end_date_gmt
    next_payment_date next_payment_date_gmt last_payment_date last_payment_date_gmt cancelled_date cancelled_date_gmt
    end_date end_date_gmt payment_retry_date payment_retry_date_gmt resubscribed_from resubscribed_subscription
    discount_total discount_tax shipping_total shipping_tax cart_tax total total_tax subtotal subtotal_tax price amount
    tax_total shipping_tax_total discount quantity number created_via payment_method payment_method_title
    billing_period billing_interval suspension_count role sku tax_class tax_status rate_code rate_percent label
    method_id instance_id method_title code type slug stock_status key display_key
    """.split()
)
"""Keys whose texts are shown."""
ITEMS = frozenset({"line_items", "shipping_lines", "fee_lines", "coupon_lines", "attributes", "categories"})
"""Lists whose ``name`` is that of a thing, not of a person."""
PERSONAL = frozenset({"phone", "postcode", "billing", "shipping", "customer_ip_address", "address"})
"""Keys whose numbers are masked as well."""
SHOWN_META = frozenset(
    {"_subscription_renewal", "_subscription_renewal_early", "_subscription_switch", "_subscription_resubscribe"}
)
"""Names of meta_data whose values are shown: ids of the shop."""
_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
_HARMLESS_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?")


def masked(body: bytes) -> str | None:
    """The body as JSON, laid out, its personal data masked; None where it cannot be read."""
    try:
        content = json.loads(body)
        return _laid_out(_mask(content))
    except (ValueError, RecursionError):
        return None


def in_clear(body: bytes) -> str:
    """The body as it came, laid out where it is JSON."""
    try:
        return _laid_out(json.loads(body))
    except (ValueError, RecursionError):
        return _printable(body.decode("utf-8", "backslashreplace"))


def _laid_out(content: Any) -> str:
    return _printable(json.dumps(content, ensure_ascii=False, indent=2))


def _printable(text: str) -> str:
    """What a page can carry: no lone surrogates, no NUL, no more than a person reads."""
    text = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\N{SYMBOL FOR NULL}")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… ({len(text)} caractères)"


def _mask(value: Any, key: str = "", within: str = "", *, is_personal: bool = False) -> Any:
    if isinstance(value, Mapping):
        return _mask_object(value, within=key or within, is_personal=is_personal or key in PERSONAL)
    if isinstance(value, list):
        return [_mask(each, key, key or within, is_personal=is_personal) for each in value]
    if value is None or value == "" or isinstance(value, bool):
        return value
    return value if not is_personal and _is_harmless(value, key, within) else MASK


def _mask_object(value: Mapping[str, Any], *, within: str, is_personal: bool) -> dict[str, Any]:
    is_shown_meta = value.get("key") in SHOWN_META
    return {
        key if _KEY.fullmatch(key) else MASK: _shown_meta(each)
        if is_shown_meta and key in ("value", "display_value")
        else _mask(each, key, within, is_personal=is_personal)
        for key, each in value.items()
    }


def _shown_meta(value: Any) -> Any:
    return value if isinstance(value, int) or _HARMLESS_NUMBER.fullmatch(str(value)) else MASK


def _is_harmless(value: Any, key: str, within: str) -> bool:
    if isinstance(value, int | float):
        return key not in PERSONAL and (key != "value" or within != "meta_data")
    is_named = key in HARMLESS or (key in ("name", "parent_name") and within in ITEMS)
    return is_named and "@" not in value and len(value) <= LONGEST_TEXT
