"""Sources: what a shop calls itself in X-WC-Webhook-Source, made comparable."""

import re
from urllib.parse import urlsplit

_LANGUAGE = re.compile(r"/[a-z]{2,3}(?:[-_][a-z]{2,4})?", re.IGNORECASE)


def normalised(address: str) -> str:
    """An address without scheme and last slash, its host in lower case and ASCII; empty where there is none."""
    text = address.strip()
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host = (parts.hostname or "").encode("idna").decode().lower()
        port = parts.port
    except ValueError:  # a port or a name that cannot be
        return ""
    if not host:
        return ""
    is_usual = port is None or (parts.scheme, port) in (("http", 80), ("https", 443))
    return host + ("" if is_usual else f":{port}") + parts.path.rstrip("/")


def is_of(source: str, shop_source: str) -> bool:
    """Whether ``source`` is the shop, or the shop in a language: plugins put /en, or /pt-br, behind its address."""
    if not source.startswith(shop_source):
        return False
    rest = source[len(shop_source) :]
    return not rest or _LANGUAGE.fullmatch(rest) is not None
