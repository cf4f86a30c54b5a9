"""Signatures: the example of the Standard Webhooks' own libraries, and what is not signed."""

from datetime import UTC, datetime

import pytest

from demo import depanssur_client
from webapp.services.operators import signing

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
ID, AT = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_example_of_the_specification() -> None:
    headers = signing.sign([SECRET], ID, datetime.fromtimestamp(AT, UTC), BODY)
    assert headers == {"webhook-id": ID, "webhook-timestamp": str(AT), "webhook-signature": SIGNATURE}
    assert depanssur_client.sign(SECRET, ID, AT, BODY) == SIGNATURE


@pytest.mark.parametrize(
    ("said", "is_signed"),
    [
        (SIGNATURE, True),
        (f"v1,AAAA {SIGNATURE}", True),
        (f"v2,{SIGNATURE[3:]}", False),
        (SIGNATURE[:-2] + "A=", False),
        ("", False),
        ("v1,", False),
        ("v1,é", False),
    ],
)
def test_one_of_several_signatures_is_enough(said: str, is_signed: bool) -> None:
    assert signing.is_signed(said, ID, str(AT), BODY, [SECRET]) is is_signed
    assert signing.is_signed(said, ID, str(AT), BODY, [signing.new_secret(), SECRET]) is is_signed
    assert not signing.is_signed(said, ID, str(AT), BODY, [signing.new_secret()])
    assert not signing.is_signed(said, ID, str(AT + 1), BODY, [SECRET])
    assert not signing.is_signed(said, ID, str(AT), BODY + b" ", [SECRET])


def test_while_secrets_are_changed_either_verifies() -> None:
    old, new = signing.new_secret(), signing.new_secret()
    headers = signing.sign([new, old], ID, datetime.fromtimestamp(AT, UTC), BODY)
    for secret in (old, new):
        assert depanssur_client.verify([secret], headers, BODY, at=AT + 299)
        assert not depanssur_client.verify([secret], headers, BODY, at=AT + 301)
    assert not depanssur_client.verify([signing.new_secret()], headers, BODY, at=AT)
