"""From where a session is used, in words that its owner recognises and that say no more than they need."""

from ipaddress import ip_address, ip_network

# In order: a browser names its relatives too, and Android calls itself Linux.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)
UNKNOWN = "Navigateur inconnu"


def describe(user_agent: str) -> str:
    """« Firefox sur Windows », as far as the browser says so itself."""
    browser, system = _first(BROWSERS, user_agent), _first(SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} sur {system}"
    return browser or system or UNKNOWN


def shorten(address: str | None) -> str:
    """An address without the part that tells machines of one site apart: the last of IPv4's four, IPv6 beyond /48."""
    try:
        parsed = ip_address(address or "")
    except ValueError:
        return ""
    if mapped := getattr(parsed, "ipv4_mapped", None):
        parsed = mapped
    if parsed.version == 4:
        return f"{str(parsed).rpartition('.')[0]}.x"
    network = ip_network((parsed, 48), strict=False)
    return f"{network.network_address.compressed.removesuffix(':')}x"


def _first(words: tuple[tuple[str, str], ...], user_agent: str) -> str | None:
    return next((word for mark, word in words if mark in user_agent), None)
