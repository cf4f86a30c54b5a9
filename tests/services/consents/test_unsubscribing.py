"""The link by which a client withdraws a consent: what it names, that nobody can make one, and what it does."""

import base64

import pytest

from tests import factories
from tests.conftest import NOW, TEST_KEY, Cast
from tests.services.consents.conftest import note
from webapp import crypto, tenancy
from webapp.errors import NotFoundError
from webapp.extensions import db
from webapp.models.clients import Client
from webapp.models.consents import ConsentChannel, ConsentPurpose, ConsentState
from webapp.services.consents.listing import find_present, list_history
from webapp.services.consents.unsubscribing import find_link, make_token, unsubscribe

EMAIL = ConsentPurpose.PROSPECTION_EMAIL


def test_it_withdraws_what_was_given_for_its_purpose_and_nothing_else(subject: Client, cast: Cast) -> None:
    for purpose in (EMAIL, ConsentPurpose.SATISFACTION):
        note(subject, cast, at=NOW, purpose=purpose)
    token = make_token(subject.id, EMAIL)
    with tenancy.organisation(None):  # type: ignore[arg-type]
        assert not find_link(token).is_over
        assert unsubscribe(token, at=NOW).is_over
        assert find_link(token).is_over
    present = find_present(subject.id)
    withdrawn = present[EMAIL]
    assert withdrawn is not None
    assert (withdrawn.state, withdrawn.channel, withdrawn.user_id) == (ConsentState.WITHDRAWN, ConsentChannel.WEB, None)
    satisfaction = present[ConsentPurpose.SATISFACTION]
    assert satisfaction is not None
    assert satisfaction.state is ConsentState.GIVEN


@pytest.mark.parametrize("purpose", list(ConsentPurpose))
def test_without_a_yes_before_it_is_a_refusal_and_twice_is_once(subject: Client, purpose: ConsentPurpose) -> None:
    token = make_token(subject.id, purpose)
    for _ in range(2):
        assert unsubscribe(token, at=NOW).purpose is purpose
    assert [consent.state for consent in list_history(subject.id)] == [ConsentState.REFUSED]


def test_it_is_the_same_every_time_and_fit_for_an_address(subject: Client) -> None:
    token = make_token(subject.id, EMAIL)
    assert token == make_token(subject.id, EMAIL)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert token != make_token(subject.id, ConsentPurpose.PROSPECTION_SMS)


def test_one_that_was_altered_anywhere_is_unknown(subject: Client) -> None:
    token = make_token(subject.id, EMAIL)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place, character in enumerate(token):
        other = alphabet[(alphabet.index(character) + 1) % len(alphabet)]
        with pytest.raises(NotFoundError):
            unsubscribe(token[:place] + other + token[place + 1 :], at=NOW)
    assert list_history(subject.id) == []


@pytest.mark.parametrize("token", ["", "x", "é", "=", "A" * 66, "A" * 5000, "\x00", "../etc"])
def test_what_is_no_token_is_unknown(cast: Cast, token: str) -> None:
    with pytest.raises(NotFoundError):
        find_link(token)


def test_another_key_signs_nothing_and_an_older_one_still_does(subject: Client) -> None:
    token, newer = make_token(subject.id, EMAIL), "new:" + "B" * 42 + "A="
    crypto.use(crypto.Keyring.parse(newer))
    with pytest.raises(NotFoundError):
        find_link(token)
    crypto.use(crypto.Keyring.parse(f"{newer},{TEST_KEY}"))
    assert find_link(token).purpose is EMAIL


def test_the_organisation_that_it_names_is_signed_too(subject: Client, cast: Cast) -> None:
    content = bytearray(base64.urlsafe_b64decode(make_token(subject.id, EMAIL) + "=="))
    content[1:17] = cast.other_organisation.id.bytes
    with pytest.raises(NotFoundError):
        find_link(base64.urlsafe_b64encode(content).rstrip(b"=").decode())


def test_a_client_who_is_gone_is_unknown(cast: Cast) -> None:
    client = factories.ClientFactory()
    token = make_token(client.id, EMAIL)
    db.session.delete(client)
    db.session.flush()
    with pytest.raises(NotFoundError):
        unsubscribe(token, at=NOW)
