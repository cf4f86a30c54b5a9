"""The identity provider's answers are believed only where they hold."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.provider import LocalProvider, new_key
from webapp.config import Settings
from webapp.errors import ForbiddenError, UnavailableError
from webapp.gateways import identity

CALLBACK = "http://localhost/connexion/retour"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the process's stopwatch, by which the age of what was fetched is told, to so many seconds from now."""
    begun = time.monotonic()

    def move(seconds: float) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: begun + seconds)

    move(0)
    return move


def redeem(**changes: str) -> tuple[identity.Tokens, identity.Identity]:
    return identity.redeem("code", redirect_uri=CALLBACK, **{"nonce": "the-nonce", "verifier": "v" * 64, **changes})


def test_the_browser_is_sent_with_state_nonce_and_the_hash_of_the_verifier(provider: LocalProvider) -> None:
    address = identity.authorization_address(redirect_uri=CALLBACK, state="st", nonce="no", verifier="v" * 64)

    sent = parse_qs(urlsplit(address).query)
    assert address.startswith(f"{provider.issuer}/protocol/openid-connect/auth?")
    assert sent["response_type"] == ["code"]
    assert sent["code_challenge_method"] == ["S256"]
    assert "v" * 64 not in address
    assert (sent["state"], sent["nonce"], sent["redirect_uri"]) == (["st"], ["no"], [CALLBACK])
    assert sent["scope"] == ["openid profile email"]


def test_a_code_is_redeemed_with_the_verifier_and_the_clients_secret(provider: LocalProvider) -> None:
    tokens, person = redeem()

    form = provider.forms[0]
    assert (form["code"], form["code_verifier"], form["redirect_uri"]) == ("code", "v" * 64, CALLBACK)
    assert (form["_client"], form["_secret"]) == ("crm", "client-secret")
    assert 270 <= tokens.expires_in <= 300  # seconds have passed, on a busy machine several
    assert person == identity.Identity(
        issuer=provider.issuer,
        subject="subject-1",
        email="camille.roux@example.org",
        email_verified=True,
        first_name="Camille",
        last_name="Roux",
        roles=frozenset({"commercial", "offline_access"}),
        organisation=None,
        sid="session-1",
    )


@pytest.mark.parametrize(
    ("claims", "because"),
    [
        ({"iss": "https://other.example/realms/crm"}, "another issuer"),
        ({"aud": "another-client", "azp": "crm"}, "another audience"),
        ({"aud": None}, "no audience"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"exp": None}, "never expires"),
        ({"nonce": "another"}, "another sign-in's nonce"),
        ({"nonce": None}, "no nonce"),
        ({"typ": "Bearer"}, "an access token in the place of an ID token"),
        ({"azp": "another-client"}, "made for another client"),
        ({"sub": "subject-2"}, "another subject than the access token's"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "goes with another access token"),
    ],
)
def test_an_id_token_that_does_not_hold_is_refused(provider: LocalProvider, claims: Any, because: str) -> None:
    provider.id_claims = claims
    with pytest.raises(identity.SignInError):
        redeem()


@pytest.mark.parametrize(
    ("claims", "because"),
    [
        ({"iss": "https://other.example/realms/crm"}, "another issuer"),
        ({"aud": ["account"], "azp": "another-client"}, "another client's"),
        ({"aud": None, "azp": None}, "nobody's"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"exp": None}, "never expires"),
        ({"typ": "Refresh"}, "a refresh token"),
        ({"sub": None}, "nobody"),
    ],
)
def test_an_access_token_that_does_not_hold_is_refused(provider: LocalProvider, claims: Any, because: str) -> None:
    provider.access_claims = claims
    with pytest.raises(identity.SignInError):
        redeem()


def test_a_token_signed_by_another_key_is_refused(provider: LocalProvider) -> None:
    provider.key = new_key("stranger")
    with pytest.raises(identity.SignInError):
        redeem()


def test_a_key_that_claims_a_published_id_is_refused(provider: LocalProvider) -> None:
    forged = new_key("forged")
    provider.key = type(forged).import_key(forged.as_dict(private=True) | {"kid": "first"})
    with pytest.raises(identity.SignInError):
        redeem()


def test_a_token_signed_with_the_public_key_as_a_shared_secret_is_refused(provider: LocalProvider) -> None:
    head = _part({"alg": "HS256", "kid": "first"})
    body = _part({"iss": provider.issuer, "sub": "subject-1", "aud": "crm", "azp": "crm", "exp": 4_000_000_000})
    mac = hmac.digest(provider.key.as_pem(private=False), f"{head}.{body}".encode(), "sha256")
    token = f"{head}.{body}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    provider.refusal = (200, {"access_token": token, "id_token": token, "token_type": "Bearer", "expires_in": 300})
    with pytest.raises(identity.SignInError):
        redeem()


def _part(content: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("token", ["", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "é", "x" * 10_000])
def test_what_is_no_token_is_refused(provider: LocalProvider, token: str) -> None:
    provider.refusal = (200, {"access_token": token, "id_token": token, "token_type": "Bearer", "expires_in": 300})
    with pytest.raises(identity.SignInError):
        redeem()


def test_our_client_in_the_audience_will_do_without_azp(provider: LocalProvider) -> None:
    provider.access_claims = {"aud": ["winleadplus", "crm"], "azp": None}
    assert redeem()[1].subject == "subject-1"


def test_roles_come_from_the_realm_and_from_our_client_alone(provider: LocalProvider) -> None:
    provider.id_claims = {"realm_access": {"roles": ["admin"]}}
    provider.access_claims = {
        "realm_access": {"roles": ["commercial"]},
        "resource_access": {"crm": {"roles": ["manager"]}, "other": {"roles": ["admin"]}},
    }
    assert redeem()[1].roles == {"commercial", "manager"}


@pytest.mark.parametrize(
    "claims", [{"realm_access": None}, {"realm_access": "admin"}, {"realm_access": {"roles": {"a": 1}}}]
)
def test_roles_in_no_known_shape_are_no_roles(provider: LocalProvider, claims: Any) -> None:
    provider.access_claims = claims
    assert redeem()[1].roles == frozenset()


@pytest.mark.parametrize(
    ("claim", "slug"), [("demo", "demo"), (["demo"], "demo"), ([], None), ("", None), (None, None), ({"a": 1}, None)]
)
def test_the_organisation_is_a_text_or_a_list_of_one(provider: LocalProvider, claim: Any, slug: str | None) -> None:
    provider.claims = {"organisation": claim}
    assert redeem()[1].organisation == slug


def test_two_organisations_are_refused_rather_than_guessed(provider: LocalProvider) -> None:
    provider.claims = {"organisation": ["demo", "autre"]}
    with pytest.raises(identity.SignInError, match="plusieurs organisations"):
        redeem()


def test_names_fit_their_columns_and_carry_no_control_characters(provider: LocalProvider) -> None:
    provider.claims = {"given_name": "Ca\x00mille\n", "family_name": "R" * 300, "email": None}
    person = redeem()[1]
    assert (person.first_name, len(person.last_name), person.email) == ("Ca mille", 100, None)


def test_an_email_is_verified_only_where_the_provider_says_so(provider: LocalProvider) -> None:
    provider.claims = {"email_verified": "false"}
    assert redeem()[1].email_verified is False


def test_a_code_that_is_used_up_asks_to_sign_in_again(provider: LocalProvider) -> None:
    provider.refusal = (400, {"error": "invalid_grant", "error_description": "Code not valid"})
    with pytest.raises(identity.SignInError, match="expiré ou a déjà servi"):
        redeem()


def test_a_provider_that_does_not_know_us_is_an_outage(provider: LocalProvider) -> None:
    provider.refusal = (401, {"error": "invalid_client"})
    with pytest.raises(UnavailableError):
        redeem()


@pytest.mark.parametrize(
    "answer", [(500, "oops"), (502, {"error": "x"}), (429, "slow down"), (200, "<html>"), (200, {})]
)
def test_an_answer_that_makes_no_sense_is_an_outage(provider: LocalProvider, answer: Any) -> None:
    provider.refusal = answer
    with pytest.raises(UnavailableError):
        redeem()


def test_a_provider_that_nobody_listens_at_is_an_outage(settings: Settings) -> None:
    identity.use(settings)
    with pytest.raises(UnavailableError, match="ne répond pas"):
        identity.authorization_address(redirect_uri=CALLBACK, state="s", nonce="n", verifier="v" * 64)


@pytest.mark.parametrize("discovery", [{"issuer": "https://other.example"}, {"jwks_uri": None, "issuer": None}])
def test_a_provider_of_another_name_is_not_ours(provider: LocalProvider, discovery: Any) -> None:
    provider.discovery = discovery
    with pytest.raises(UnavailableError):
        redeem()


def test_addresses_and_keys_are_asked_for_once(provider: LocalProvider) -> None:
    for _ in range(3):
        redeem()
    assert (provider.hits["openid-configuration"], provider.hits["certs"]) == (1, 1)


def test_a_key_that_is_new_is_trusted_with_the_first_token_that_names_it(provider: LocalProvider) -> None:
    """Keys change while people are signed in: nobody may be signed out because ours are a second old."""
    redeem()
    provider.key = new_key("second")
    provider.published = [new_key("first"), provider.key]
    redeem()
    assert identity.refresh("refresh-0")[1].subject == "subject-1"
    assert provider.hits["certs"] == 2


def test_forged_logout_tokens_do_not_become_traffic(provider: LocalProvider) -> None:
    redeem()
    provider.key = new_key("stranger")
    for _ in range(3):
        with pytest.raises(identity.LogoutRefusedError):
            identity.read_logout(provider.logout_token())
    assert provider.hits["certs"] == 1


def test_forged_logout_tokens_do_not_wait_for_a_provider_that_is_down(
    provider: LocalProvider, later: Callable[[float], None]
) -> None:
    redeem()
    provider.published = []  # an empty set is no answer
    later(301)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            identity.read_logout(provider.logout_token())
    assert provider.hits["certs"] == 2


def test_a_withdrawn_key_is_trusted_for_five_minutes_at_most(
    provider: LocalProvider, later: Callable[[float], None]
) -> None:
    redeem()
    provider.published = [new_key("second")]
    later(239)
    redeem()
    later(301)
    with pytest.raises(identity.SignInError):
        redeem()
    with pytest.raises(identity.LogoutRefusedError):
        identity.read_logout(provider.logout_token())
    provider.key = new_key("second")
    redeem()


def test_a_key_is_trusted_no_longer_because_the_provider_is_down(
    provider: LocalProvider, later: Callable[[float], None]
) -> None:
    redeem()
    provider.published = []
    later(301)
    with pytest.raises(UnavailableError):
        redeem()


def test_addresses_go_on_serving_while_the_provider_is_down(
    provider: LocalProvider, later: Callable[[float], None]
) -> None:
    redeem()
    provider.discovery = {"issuer": "https://broken.example"}
    later(3601)
    assert redeem()[1].subject == "subject-1"
    assert provider.hits["openid-configuration"] == 2


def test_a_refresh_brings_new_tokens_and_todays_roles(provider: LocalProvider) -> None:
    provider.access_claims = {"realm_access": {"roles": ["admin"]}}
    tokens, person = identity.refresh("refresh-0")
    assert provider.forms[0]["grant_type"] == "refresh_token"
    assert provider.forms[0]["refresh_token"] == "refresh-0"
    assert tokens.refresh_token == "refresh-1"
    assert person.roles == {"admin"}


def test_without_a_new_refresh_token_the_old_one_is_kept(provider: LocalProvider) -> None:
    provider.refusal = (200, {"access_token": provider.access_token(), "token_type": "Bearer", "expires_in": 300})
    assert identity.refresh("refresh-0")[0].refresh_token == "refresh-0"


def test_a_refused_refresh_ends_the_session(provider: LocalProvider) -> None:
    provider.refusal = (400, {"error": "invalid_grant", "error_description": "Session not active"})
    with pytest.raises(identity.SessionEndedError):
        identity.refresh("refresh-0")


def test_a_refresh_that_brings_a_forged_token_ends_the_session(provider: LocalProvider) -> None:
    provider.key = new_key("stranger")
    with pytest.raises(identity.SessionEndedError):
        identity.refresh("refresh-0")


def test_sign_out_names_the_session_and_the_way_back(provider: LocalProvider) -> None:
    address = identity.sign_out_address(id_token="the-id-token", back_to="http://localhost/")
    assert address is not None
    assert parse_qs(urlsplit(address).query) == {
        "client_id": ["crm"],
        "id_token_hint": ["the-id-token"],
        "post_logout_redirect_uri": ["http://localhost/"],
    }


def test_a_provider_without_sign_out_has_no_address_for_it(provider: LocalProvider) -> None:
    provider.discovery = {"end_session_endpoint": None}
    assert identity.sign_out_address(id_token=None, back_to="http://localhost/") is None


# --- logout tokens ---


@pytest.mark.parametrize("typ", [None, "JWT", "logout+jwt", "application/logout+jwt"])
@pytest.mark.parametrize("names", [{}, {"sid": None}, {"sub": None}, {"typ": None, "aud": ["crm", "other"]}])
def test_a_logout_token_names_a_session_or_a_subject(provider: LocalProvider, typ: str | None, names: Any) -> None:
    logout = identity.read_logout(provider.logout_token(head={"typ": typ} if typ else {}, **names))
    expected = {"sub": "subject-1", "sid": "session-1", **names}
    assert (logout.issuer, logout.subject, logout.sid) == (provider.issuer, expected["sub"], expected["sid"])


EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"iss": "https://other.example/realms/crm"}, "another issuer"),
        ({"iss": None}, "no issuer"),
        ({"aud": "another-client"}, "another audience"),
        ({"aud": None, "azp": "crm"}, "no audience"),
        ({"iat": None}, "made at no time"),
        ({"iat": 1_000_000_000}, "made long ago"),
        ({"iat": 4_000_000_000}, "made in the future"),
        ({"iat": "now"}, "made at no instant"),
        ({"exp": None}, "never expires"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"jti": None}, "no name to know it again by"),
        ({"jti": 7}, "a name that is none"),
        ({"events": None}, "an ID token"),
        ({"events": {"https://other.example/event": {}}}, "another event"),
        ({"events": {EVENT: "yes"}}, "an event without its object"),
        ({"events": [EVENT]}, "events in a list"),
        ({"nonce": "the-nonce"}, "an ID token dressed up"),
        ({"typ": "ID"}, "an ID token by Keycloak's own word"),
        ({"typ": "Bearer"}, "an access token"),
        ({"sub": None, "sid": None}, "nobody"),
        ({"sub": 7}, "a subject that is none"),
        ({"sid": ""}, "a session without a name"),
        ({"sid": "a\0b"}, "a session that nothing can hold"),
        ({"head": {"typ": "at+jwt"}}, "an access token by its head"),
    ],
)
def test_a_logout_token_that_does_not_hold_is_refused(provider: LocalProvider, changes: Any, because: str) -> None:
    with pytest.raises(identity.LogoutRefusedError):
        identity.read_logout(provider.logout_token(**changes))


def test_a_logout_token_by_another_key_or_algorithm_is_refused(provider: LocalProvider) -> None:
    head, body = _part({"alg": "none", "kid": "first"}), provider.logout_token().split(".")[1]
    forged = new_key("forged")
    renamed = type(forged).import_key(forged.as_dict(private=True) | {"kid": "first"})
    for token in (f"{head}.{body}.", provider.id_token(), "", "a.b.c", "é", "x" * 10_000):
        with pytest.raises(identity.LogoutRefusedError):
            identity.read_logout(token)
    provider.key = renamed
    with pytest.raises(identity.LogoutRefusedError):
        identity.read_logout(provider.logout_token())


def test_a_session_is_ended_by_its_refresh_token(provider: LocalProvider) -> None:
    identity.end_session("refresh-1")
    (form,) = provider.forms
    assert (form["refresh_token"], form["_client"], form["_secret"]) == ("refresh-1", "crm", "client-secret")
    assert provider.hits["logout"] == 1


def test_where_that_is_no_way_the_refresh_token_is_revoked(provider: LocalProvider) -> None:
    provider.ended = 200, "<html>a question</html>"
    identity.end_session("refresh-1")
    assert (provider.hits["revoke"], provider.forms[-1]["token"]) == (1, "refresh-1")


def test_a_provider_in_trouble_ends_no_session(provider: LocalProvider) -> None:
    provider.ended = 503, "down"
    with pytest.raises(UnavailableError):
        identity.end_session("refresh-1")


# --- the service account ---


def test_the_service_token_is_asked_for_once(provider: LocalProvider) -> None:
    assert identity.service_token() == identity.service_token()
    (form,) = provider.forms
    assert (form["grant_type"], form["_client"], form["_secret"]) == ("client_credentials", "crm-sync", "sync-secret")


def test_a_service_token_near_its_end_is_not_handed_out(
    provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "SERVICE_TOKEN_MARGIN", 300)  # of the 300 seconds that it lives
    assert identity.service_token() != identity.service_token()


def test_a_refused_service_account_is_no_outage(provider: LocalProvider) -> None:
    provider.refusal = (401, {"error": "invalid_client"})
    with pytest.raises(ForbiddenError):
        identity.service_token()


def test_no_service_token_while_the_provider_is_down(settings: Settings) -> None:
    identity.use(settings)
    with pytest.raises(UnavailableError):
        identity.service_token()


def test_a_slow_provider_is_given_up(provider: LocalProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "TIMEOUT", 0.05)
    provider.pause.clear()
    try:
        with pytest.raises(UnavailableError):
            redeem()
    finally:
        provider.pause.set()


@pytest.mark.parametrize("subject", ["a\0b", "a\nb", "", "s" * 256, 7, ["subject-1"]])
def test_a_subject_that_no_column_can_hold_is_refused(provider: LocalProvider, subject: Any) -> None:
    provider.claims = {"sub": subject}
    with pytest.raises(identity.SignInError):
        redeem()


@pytest.mark.parametrize("claims", [{"organisation": "de\0mo"}, {"realm_access": {"roles": ["adm\0in"]}}])
def test_a_claim_that_no_column_can_hold_is_refused(provider: LocalProvider, claims: Any) -> None:
    provider.access_claims = claims
    with pytest.raises(identity.SignInError):
        redeem()


@pytest.mark.parametrize(
    ("person", "rights", "agree"),
    [
        ("demo", "demo", True),
        ("demo", ["demo"], True),
        ("demo", None, True),
        (None, "demo", True),
        ("demo", "autre", False),
        (["demo"], ["autre"], False),
    ],
)
def test_tokens_that_name_different_organisations_are_refused(
    provider: LocalProvider, person: Any, rights: Any, agree: bool
) -> None:
    provider.id_claims, provider.access_claims = {"organisation": person}, {"organisation": rights}
    if agree:
        assert redeem()[1].organisation == "demo"
    else:
        with pytest.raises(identity.SignInError):
            redeem()


@pytest.mark.parametrize(("life", "at_most"), [(40, 40), (100_000, 300)])
def test_an_access_token_lives_as_long_as_the_shorter_of_what_is_said(
    provider: LocalProvider, life: int, at_most: int
) -> None:
    provider.access_claims = {"exp": int(time.time()) + life}  # the provider's clock is the wall's
    for tokens in (redeem()[0], identity.refresh("r")[0]):
        assert at_most - 5 <= tokens.expires_in <= at_most
