"""Signatures and sources, as WooCommerce makes them."""

import pytest

from tests.woocommerce import SECRET, deliveries
from webapp.services.woocommerce import signing, sources


def test_the_signature_of_nothing() -> None:
    assert signing.sign("", b"secret") == "GBDo00G55h6IiV+6CxqivQPLbI//KzaOZm747971tPs="


def test_every_real_delivery_is_signed() -> None:
    for delivery in deliveries():
        if delivery.kind:
            signature = delivery.headers["X-WC-Webhook-Signature"]
            assert signing.is_signed(signature, delivery.body, ["other", SECRET]), delivery.seq
            assert not signing.is_signed(signature, delivery.body + b" ", [SECRET])


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("a&amp;b", "a&b"),
        ("&#038;&#38;&#x26;", "&&&"),
        ("&lt;&#60;&gt;&quot;&#039;&#x27;", "<<>\"''"),
        ("&eacute;&copy;&", "&eacute;&copy;&"),
        ("&amp;lt;", "&lt;"),
    ],
)
def test_entities_in_the_secret_are_decoded_once(secret: str, key: str) -> None:
    assert signing.decoded(secret) == key
    assert signing.sign(secret, b"{}") == signing.sign(key.replace("&lt;", "&amp;lt;"), b"{}")


def test_an_empty_secret_signs_nothing() -> None:
    assert not signing.is_signed(signing.sign("", b"x"), b"x", ["", ""])


def test_a_signature_of_anything_is_a_refusal() -> None:
    for said in ("", "é", "\x00", "x" * 10_000):
        assert not signing.is_signed(said, b"x", ["secret"])


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("https://Savons.Example/", "savons.example"),
        ("http://savons.example:80", "savons.example"),
        ("https://savons.example:8443/", "savons.example:8443"),
        ("https://savons.example/Boutique/", "savons.example/Boutique"),
        ("savons.example", "savons.example"),
        ("https://Crème.example/", "xn--crme-6oa.example"),
        ("", ""),
        ("https://savons.example:x/", ""),
        ("https://[/", ""),
    ],
)
def test_sources_are_comparable(address: str, source: str) -> None:
    assert sources.normalised(address) == source


def test_a_shop_in_a_language_is_the_shop() -> None:
    for source in ("savons.example", "savons.example/en", "savons.example/pt-br"):
        assert sources.is_of(source, "savons.example")
    for source in ("staging.savons.example", "savons.example/staging", "savons.example.org", "savons.example/en/x"):
        assert not sources.is_of(source, "savons.example")
