"""What « Mes sessions » says of a browser and of where it is."""

import pytest

from webapp.sessions.devices import describe, shorten

MOZILLA = "Mozilla/5.0"
MAC = f"{MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15"
IPHONE = f"{MOZILLA} (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0"


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (f"{MOZILLA} (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox sur Windows"),
        (f"{MOZILLA} (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36", "Chrome sur Windows"),
        (f"{MOZILLA} (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 Edg/141.0.0.0", "Edge sur Windows"),
        (f"{MOZILLA} (X11; Linux x86_64) {CHROME} Safari/537.36 OPR/120.0.0.0", "Opera sur Linux"),
        (f"{MAC} Version/19.0 Safari/605.1.15", "Safari sur Mac"),
        (f"{IPHONE} Version/19.0 Safari/604.1", "Safari sur iPhone"),
        (f"{IPHONE} CriOS/141.0 Safari/604.1", "Chrome sur iPhone"),
        (f"{MOZILLA} (Linux; Android 16; K) {CHROME} Mobile Safari/537.36", "Chrome sur Android"),
        (f"{MOZILLA} (X11; CrOS x86_64 16000.0.0) {CHROME} Safari/537.36", "Chrome sur ChromeOS"),
        ("curl/8.5.0", "Navigateur inconnu"),
        ("Something on Linux", "Linux"),
        ("", "Navigateur inconnu"),
        ("<script>alert(1)</script>", "Navigateur inconnu"),
    ],
)
def test_a_browser_is_told_in_words(user_agent: str, words: str) -> None:
    assert describe(user_agent) == words


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("192.0.2.17", "192.0.2.x"),
        ("::ffff:192.0.2.17", "192.0.2.x"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:x"),
        ("::1", ":x"),
        (None, ""),
        ("unix:", ""),
    ],
)
def test_an_address_is_shortened(address: str | None, shown: str) -> None:
    assert shorten(address) == shown
