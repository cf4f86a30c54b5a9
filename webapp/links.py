"""Addresses of our own pages that clients open from a message. A job has no request from which to make them."""

_base_url: str | None = None


def use(base_url: str) -> None:
    """Set the application's public address, once, at start-up."""
    global _base_url
    _base_url = base_url


def unsubscribing(token: str) -> str:
    """Where a client withdraws a consent."""
    return f"{_base()}/desabonnement/{token}"


def giving_means(token: str) -> str:
    """Where a client gives a means of payment."""
    return f"{_base()}/moyen-de-paiement/{token}"


def accepting_sale(token: str) -> str:
    """Where a client reads what a colleague has prepared, and accepts it."""
    return f"{_base()}/accord/{token}"


def page(path: str) -> str:
    """A page for colleagues, by its path."""
    return f"{_base()}{path}"


def _base() -> str:
    if _base_url is None:
        raise RuntimeError("the public address is not set: create_app() sets it")
    return _base_url
