"""The pretend provider behaves like Keycloak where a client can tell."""

import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.demo.conftest import ROOT, IdentityProvider, Visitor, claims_of, free_port, running_provider

CAST = json.loads((ROOT / "demo" / "accounts.json").read_text(encoding="utf-8"))
COMMERCIAL_NORD = next(a for a in CAST["accounts"] if a["username"] == "commercial.nord")
OURS = {"commercial", "manager", "admin"}


def test_discovery_names_keycloaks_addresses(identity_provider: IdentityProvider) -> None:
    found = httpx.get(f"{identity_provider.issuer}/.well-known/openid-configuration").json()

    assert found["issuer"] == identity_provider.issuer
    assert found["code_challenge_methods_supported"] == ["S256"]
    for name, path in {
        "authorization_endpoint": "auth",
        "token_endpoint": "token",
        "userinfo_endpoint": "userinfo",
        "jwks_uri": "certs",
        "end_session_endpoint": "logout",
    }.items():
        assert found[name] == identity_provider.endpoint(path)


def test_addresses_are_the_issuers_even_when_asked_as_localhost(identity_provider: IdentityProvider) -> None:
    port = urlsplit(identity_provider.issuer).port
    found = httpx.get(
        f"{identity_provider.issuer}/.well-known/openid-configuration", headers={"Host": f"localhost:{port}"}
    ).json()

    assert found["token_endpoint"] == identity_provider.endpoint("token")


def test_the_form_is_labelled_french_and_needs_no_script(visitor: Visitor) -> None:
    form = visitor.open_form()

    assert form.status_code == 200
    assert '<html lang="fr">' in form.text
    assert '<label for="username">' in form.text
    assert '<label for="password">' in form.text
    assert "<script" not in form.text
    # Chromium applies form-action to the redirects after the form as well: they lead back to the CRM.
    assert "form-action" not in form.headers["content-security-policy"]


def test_a_wrong_password_shows_the_form_again(visitor: Visitor) -> None:
    again = visitor.submit(visitor.open_form(), "commercial.nord", "faux")

    assert again.status_code == 200
    assert "Identifiant ou mot de passe incorrect" in again.text
    assert 'value="commercial.nord"' in again.text
    assert visitor.submit(again, "commercial.nord").is_redirect


def test_what_is_typed_is_shown_as_text(visitor: Visitor) -> None:
    again = visitor.submit(visitor.open_form(), '"><script>alert(1)</script>', "faux")

    assert "<script" not in again.text


def test_signing_in_leads_back_with_code_and_state(visitor: Visitor) -> None:
    resumed = visitor.submit(visitor.open_form(), "commercial.nord")
    back = visitor.http.get(resumed.headers["location"])

    query = parse_qs(urlsplit(back.headers["location"]).query)
    assert back.headers["location"].startswith(f"{visitor.provider.redirect_uri}?")
    assert query["state"] == ["the-state"]
    assert query["code"]


def test_the_access_token_is_keycloaks(visitor: Visitor) -> None:
    tokens = visitor.sign_in("commercial.nord")
    claims = claims_of(tokens["access_token"])

    assert claims["iss"] == visitor.provider.issuer
    assert claims["sub"] == COMMERCIAL_NORD["sub"]
    assert claims["typ"] == "Bearer"
    assert claims["azp"] == "crm"
    assert {"crm", "winleadplus"} <= set(claims["aud"])
    assert OURS & set(claims["realm_access"]["roles"]) == {"commercial"}
    assert claims["organisation"] == "demo"
    assert claims["email"] == COMMERCIAL_NORD["email"]
    assert claims["email_verified"] is True
    assert claims["exp"] - claims["iat"] == tokens["expires_in"] == 300


def test_the_id_token_says_who_but_not_what_they_may(visitor: Visitor) -> None:
    claims = claims_of(visitor.sign_in("commercial.nord")["id_token"])

    assert claims["typ"] == "ID"
    assert claims["aud"] == "crm"
    assert claims["nonce"] == "the-nonce"
    assert claims["organisation"] == "demo"
    assert claims["preferred_username"] == "commercial.nord"
    assert (claims["given_name"], claims["family_name"]) == ("Claire", "Delattre")
    assert claims["email_verified"] is True
    assert "realm_access" not in claims
    assert "resource_access" not in claims


def test_both_tokens_verify_with_the_published_keys(visitor: Visitor) -> None:
    tokens = visitor.sign_in("commercial.nord")
    keys = KeySet.import_key_set(httpx.get(visitor.provider.endpoint("certs")).json())

    for name in ("access_token", "id_token"):
        assert jwt.decode(tokens[name], keys, algorithms=["RS256"]).claims["sub"] == COMMERCIAL_NORD["sub"]
    assert all("d" not in key for key in httpx.get(visitor.provider.endpoint("certs")).json()["keys"])


@pytest.mark.parametrize("account", CAST["accounts"], ids=lambda account: account["username"])
def test_everybody_of_the_cast_signs_in(visitor: Visitor, account: dict[str, Any]) -> None:
    claims = claims_of(visitor.sign_in(account["username"])["access_token"])

    assert claims["sub"] == account["sub"]
    assert OURS & set(claims["realm_access"]["roles"]) == set(account["roles"])
    assert claims["organisation"] == account["organisation"]


def test_without_pkce_nobody_is_let_in(visitor: Visitor) -> None:
    refused = visitor.authorize(code_challenge=None, code_challenge_method=None)

    assert "error=invalid_request" in refused.headers["location"]


def test_a_foreign_redirect_address_is_refused_on_a_page(visitor: Visitor) -> None:
    refused = visitor.authorize(redirect_uri="http://evil.test/")

    assert refused.status_code == 400
    assert "Connexion impossible" in refused.text


def test_the_crm_may_be_called_localhost(visitor: Visitor) -> None:
    by_name = visitor.provider.redirect_uri.replace("127.0.0.1", "localhost")

    assert "/login-actions/authenticate/" in visitor.authorize(redirect_uri=by_name).headers["location"]


def test_a_forgotten_form_says_that_it_expired(visitor: Visitor) -> None:
    form = visitor.open_form()
    visitor.http.cookies.clear()

    late = visitor.submit(form, "commercial.nord")

    assert late.status_code == 400
    assert "Cette page a expiré" in late.text


def test_two_tabs_may_sign_in_at_the_same_time(visitor: Visitor) -> None:
    first, second = visitor.open_form(), visitor.open_form()

    assert visitor.submit(second, "commercial.nord").is_redirect
    assert visitor.submit(first, "commercial.nord").is_redirect


def test_a_signed_in_browser_is_not_asked_again(visitor: Visitor) -> None:
    visitor.sign_in("manager.nord")

    assert visitor.authorize().headers["location"].startswith(visitor.provider.redirect_uri)


def test_userinfo_answers_while_the_session_lives(visitor: Visitor) -> None:
    tokens = visitor.sign_in("manager.nord")

    found = userinfo(visitor, tokens["access_token"])

    assert found.json()["preferred_username"] == "manager.nord"
    assert found.json()["organisation"] == "demo"
    assert userinfo(visitor, tokens["id_token"]).status_code == 401
    assert userinfo(visitor, "a.b.c").status_code == 401


def test_a_refresh_token_may_be_used_twice(visitor: Visitor) -> None:
    tokens = visitor.sign_in("admin")

    for _ in range(2):
        fresh = visitor.provider.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
        assert fresh.status_code == 200
        assert OURS & set(claims_of(fresh.json()["access_token"])["realm_access"]["roles"]) == {"admin"}
        assert claims_of(fresh.json()["id_token"])["sub"] == claims_of(tokens["id_token"])["sub"]
        assert fresh.json()["refresh_token"]


def test_signing_out_with_a_hint_asks_nothing_and_ends_all(visitor: Visitor) -> None:
    tokens = visitor.sign_in("commercial.sud")

    gone = sign_out(visitor, id_token_hint=tokens["id_token"], post_logout_redirect_uri=f"{visitor.provider.crm_url}/")

    assert gone.headers["location"] == f"{visitor.provider.crm_url}/"
    assert "/login-actions/authenticate/" in visitor.authorize().headers["location"]
    refused = visitor.provider.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refused.json()["error"] == "invalid_grant"
    assert userinfo(visitor, tokens["access_token"]).status_code == 401


def test_signing_out_twice_does_no_harm(visitor: Visitor) -> None:
    hint = visitor.sign_in("commercial.sud")["id_token"]
    back = f"{visitor.provider.crm_url}/connexion"

    for _ in range(2):
        gone = sign_out(visitor, id_token_hint=hint, post_logout_redirect_uri=back, state="s")
        assert gone.headers["location"] == f"{back}?state=s"


def test_signing_out_without_a_hint_asks_first(visitor: Visitor) -> None:
    visitor.sign_in("commercial.sud")

    assert "Voulez-vous vous déconnecter" in sign_out(visitor).text
    assert visitor.authorize().headers["location"].startswith(visitor.provider.redirect_uri)


def test_somebody_elses_hint_does_not_sign_me_out(visitor: Visitor, identity_provider: IdentityProvider) -> None:
    with httpx.Client() as other_http:
        hint = Visitor(identity_provider, other_http).sign_in("commercial.nord")["id_token"]
    visitor.sign_in("commercial.sud")

    assert "Voulez-vous vous déconnecter" in sign_out(visitor, id_token_hint=hint).text


def test_sign_out_leads_to_no_foreign_address(visitor: Visitor) -> None:
    hint = visitor.sign_in("commercial.sud")["id_token"]

    assert sign_out(visitor, id_token_hint=hint, post_logout_redirect_uri="http://evil.test/").status_code == 400


def test_the_service_account_may_read_winleadplus_and_nothing_else(identity_provider: IdentityProvider) -> None:
    claims = claims_of(identity_provider.service_token())

    assert "winleadplus" in claims["aud"]
    assert "crm" not in claims["aud"]
    assert claims["azp"] == "crm-sync"
    assert claims["sub"] == CAST["service_account"]["sub"]
    assert not OURS & set(claims["realm_access"]["roles"])


def test_a_wrong_secret_gets_no_token(identity_provider: IdentityProvider) -> None:
    wrong = replace(identity_provider, sync_secret="wrong")

    assert wrong.token("crm-sync", grant_type="client_credentials").status_code == 401


def test_the_crms_client_cannot_act_for_itself(identity_provider: IdentityProvider) -> None:
    assert identity_provider.token(grant_type="client_credentials").status_code == 400


def test_keys_outlive_a_restart_and_are_private(tmp_path: Path, identity_provider: IdentityProvider) -> None:
    provider = replace(identity_provider, issuer=f"http://127.0.0.1:{free_port()}/realms/crm", home=tmp_path)

    published = []
    for _ in range(2):
        with running_provider(provider):
            published.append(httpx.get(provider.endpoint("certs")).json())

    assert published[0] == published[1]
    assert stat.S_IMODE((tmp_path / "identity-keys.json").stat().st_mode) == 0o600


def test_a_missing_secret_is_named() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "demo.node", "demo/identity_provider/server.js"],
        cwd=ROOT,
        env={"IDENTITY_PORT": "1"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert ended.returncode == 1
    assert "OIDC_CLIENT_SECRET is not set" in ended.stderr


def userinfo(visitor: Visitor, token: str) -> httpx.Response:
    return httpx.get(visitor.provider.endpoint("userinfo"), headers={"Authorization": f"Bearer {token}"})


def sign_out(visitor: Visitor, **parameters: str) -> httpx.Response:
    return visitor.http.get(visitor.provider.endpoint("logout"), params=parameters)
