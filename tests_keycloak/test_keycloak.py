"""Sign-in, rights and sign-out at a real Keycloak with the realm of deploy/keycloak: each with the time that it takes.

Most tests shorten the life of access tokens, so that a refresh is seconds away; the last ones wait for the five minutes
of the realm as it is.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot, fill_sign_in
from tests.browser.world import ROOT, eventually
from tests_keycloak.conftest import Figure, SignIn
from tests_keycloak.keycloak import PASSWORD, Administration, KeycloakWorld, OurKey, Stopwatch

SHORT = 10
"""Seconds that access tokens live in most tests."""


@pytest.fixture
def short_tokens(administration: Administration) -> Iterator[None]:
    with administration.realm(accessTokenLifespan=SHORT):
        yield


def status(page: Page, path: str = "/clients") -> int:
    """The status of a page of the CRM for whoever is signed in, redirects not followed."""
    return int(page.context.request.get(path, max_redirects=0).status)


def cookie_of(page: Page, world: KeycloakWorld) -> tuple[str, str]:
    """Name and value of the CRM's session cookie."""
    kept = {cookie["name"]: cookie["value"] for cookie in page.context.cookies(world.url)}
    (name,) = [name for name in kept if name.startswith("session-")]
    return name, kept[name]


def role_of(page: Page) -> str:
    """The role that the CRM shows in the user's menu."""
    page.goto("/clients")
    return page.locator(".user-menu-role").inner_text()


def until(condition: Callable[[], Any], *, within: float) -> float:
    """Seconds until it is so, asking twice a second: pages have a rate limit."""
    watch = Stopwatch()
    while not condition():
        assert watch.seconds < within, f"still not so after {within:.0f} s"
        time.sleep(0.5)
    return watch.seconds


def sign_out(page: Page) -> None:
    page.get_by_test_id("user-menu").locator("summary").click()
    page.get_by_role("button", name="Se déconnecter").click()


# --- signing in ---


def test_sign_in_through_keycloaks_own_page(sign_in: SignIn, new_page: Any, figure: Figure, shot: Shot) -> None:
    page = new_page()
    page.goto("/clients")
    shot(page, "sign-in")
    expect(page.get_by_role("heading", name="Connectez-vous")).to_be_visible()
    page.locator("input[name=username]").fill("commercial.nord")
    page.locator("input[name=password]").fill("wrong")
    page.locator("[type=submit]").click()
    expect(page.get_by_text("Nom d'utilisateur ou mot de passe invalide")).to_be_visible()
    shot(page, "sign-in-refused")
    watch = Stopwatch()
    fill_sign_in(page, "commercial.nord")
    page.wait_for_url("**/clients")
    figure("sign-in, from the password to the clients page", f"{watch.seconds:.1f} s")
    assert role_of(page) == "Commercial"


@pytest.mark.parametrize(
    ("username", "role"),
    [("manager.nord", "Manager"), ("admin", "Administrateur"), ("admin.autre", "Administrateur")],
)
def test_each_role_arrives(sign_in: SignIn, username: str, role: str) -> None:
    assert role_of(sign_in(username)) == role


def test_without_a_role_there_is_a_page_and_a_way_out(sign_in: SignIn) -> None:
    page = sign_in("sans.role")
    expect(page.get_by_text("pas encore de rôle")).to_be_visible()
    page.get_by_role("button", name="Se déconnecter").click()
    expect(page.get_by_role("heading", name="Connectez-vous")).to_be_visible()


def test_roles_are_in_the_access_token_alone(administration: Administration) -> None:
    person = administration.person("manager")
    client = administration.client("crm")["id"]

    def example(kind: str) -> dict[str, Any]:
        query = {"userId": person.id, "scope": "openid profile email"}
        claims: dict[str, Any] = administration.call(
            "GET", f"/clients/{client}/evaluate-scopes/generate-example-{kind}", params=query
        )
        return claims

    access, identity = example("access-token"), example("id-token")
    assert "manager" in access["realm_access"]["roles"]
    assert {"crm", "winleadplus"} <= set(access["aud"])
    assert access["organisation"] == identity["organisation"] == "demo"
    assert "realm_access" not in identity
    assert "resource_access" not in identity


def test_a_role_comes_by_a_group_or_in_another_role(administration: Administration, sign_in: SignIn) -> None:
    group = administration.call("POST", "/groups", json={"name": "Responsables"})
    administration.call("POST", f"/groups/{group}/role-mappings/realm", json=[administration.role("manager")])
    by_group = administration.person()
    by_group.call("PUT", f"/groups/{group}")
    assert role_of(sign_in(by_group)) == "Manager"

    administration.call("POST", "/roles", json={"name": "direction"})
    composite = administration.role("direction")["id"]
    administration.call("POST", f"/roles-by-id/{composite}/composites", json=[administration.role("admin")])
    assert role_of(sign_in(administration.person("direction"))) == "Administrateur"


def test_a_role_of_our_client_counts_and_another_clients_does_not(
    administration: Administration, sign_in: SignIn
) -> None:
    people = {}
    for name in ("crm", "winleadplus"):
        client = administration.client(name)["id"]
        administration.call("POST", f"/clients/{client}/roles", json={"name": "manager"})
        role = administration.call("GET", f"/clients/{client}/roles/manager")
        people[name] = administration.person("commercial")
        people[name].call("POST", f"/role-mappings/clients/{client}", json=[role])
    assert role_of(sign_in(people["crm"])) == "Manager"
    assert role_of(sign_in(people["winleadplus"])) == "Commercial"


def test_the_organisation_is_the_attributes(administration: Administration, sign_in: SignIn) -> None:
    page = sign_in(administration.person("admin", organisation="autre"))
    page.get_by_test_id("user-menu").locator("summary").click()
    expect(page.locator(".user-menu-organisation")).to_contain_text("Autre")
    for organisation, words in ((None, "ne nomme aucune organisation"), ("inconnue", "ne connaît pas")):
        refused = sign_in(administration.person("admin", organisation=organisation))
        expect(refused.get_by_text(words)).to_be_visible()


def test_nobody_changes_their_own_organisation(administration: Administration, world: KeycloakWorld) -> None:
    """The account's own API, as the account console uses it, with the rights that everybody has."""
    person = administration.person("commercial")
    with _account_client(administration):
        form = {"grant_type": "password", "client_id": "essai", "username": person.username, "password": PASSWORD}
        token = httpx.post(f"{world.issuer}/protocol/openid-connect/token", data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        account = httpx.get(f"{world.issuer}/account/", headers=headers).raise_for_status().json()
        assert "organisation" not in account.get("attributes", {})
        changed = account | {"attributes": {"organisation": ["autre"]}}
        httpx.post(f"{world.issuer}/account/", headers=headers, json=changed)
    assert person.call("GET")["attributes"]["organisation"] == ["demo"]


class _account_client:  # noqa: N801  used as a block
    """A client that signs in by password, for a moment: the realm of production has none."""

    def __init__(self, administration: Administration) -> None:
        self.administration = administration

    def __enter__(self) -> None:
        client = {
            "clientId": "essai",
            "publicClient": True,
            "directAccessGrantsEnabled": True,
            "fullScopeAllowed": True,
        }
        self.id = self.administration.call("POST", "/clients", json=client)

    def __exit__(self, *_: object) -> None:
        self.administration.call("DELETE", f"/clients/{self.id}")


def test_the_first_password_is_chosen_before_the_crm_is_seen(
    administration: Administration, new_page: Any, world: KeycloakWorld, shot: Shot
) -> None:
    person = administration.person("commercial")
    credential = {"type": "password", "value": "provisoire", "temporary": True}
    person.call("PUT", "/reset-password", json=credential)
    page = new_page()
    page.goto("/clients")
    page.locator("input[name=username]").fill(person.username)
    page.locator("input[name=password]").fill("provisoire")
    page.locator("[type=submit]").click()
    page.locator("input[name=password-new]").fill("un-mot-de-passe-choisi")
    shot(page, "first-password")
    assert status(page) == 303
    page.locator("input[name=password-confirm]").fill("un-mot-de-passe-choisi")
    page.locator("[type=submit]").click()
    page.wait_for_url(f"{world.url}/clients")


# --- the life of a session ---


def test_eight_requests_at_once_refresh_once_though_tokens_rotate(
    administration: Administration, sign_in: SignIn, world: KeycloakWorld, figure: Figure, short_tokens: None
) -> None:
    kinds_kept = ["REFRESH_TOKEN", "REFRESH_TOKEN_ERROR"]
    rotating = administration.realm(revokeRefreshToken=True, refreshTokenMaxReuse=0)
    with rotating, administration.realm(eventsEnabled=True, enabledEventTypes=kinds_kept):
        person = administration.person("commercial")
        page = sign_in(person)
        name, value = cookie_of(page, world)
        for _ in range(3):
            time.sleep(SHORT + 1)
            with httpx.Client(cookies={name: value}) as http, ThreadPoolExecutor(8) as pool:
                statuses = list(pool.map(lambda _: http.get(f"{world.url}/clients").status_code, range(8)))
            assert statuses == [200] * 8
        events = administration.call("GET", "/events", params={"user": person.id, "max": 100})
        kinds = [event["type"] for event in events]
        assert kinds.count("REFRESH_TOKEN_ERROR") == 0
        assert kinds.count("REFRESH_TOKEN") == 3
        figure("eight requests at once, three times, with rotation", "3 refreshes, 0 errors, 24 × 200")


def test_a_stolen_refresh_token_ends_the_session(
    administration: Administration, sign_in: SignIn, world: KeycloakWorld, figure: Figure, short_tokens: None
) -> None:
    with administration.realm(revokeRefreshToken=True, refreshTokenMaxReuse=0):
        page = sign_in(administration.person("commercial"))
        stolen = world.refresh_token_of(cookie_of(page, world)[1])
        time.sleep(SHORT + 1)
        assert status(page) == 200  # refreshed: what was stolen has been used
        account = "crm", world.secrets["OIDC_CLIENT_SECRET"]
        form = {"grant_type": "refresh_token", "refresh_token": stolen}
        answer = httpx.post(f"{world.issuer}/protocol/openid-connect/token", auth=account, data=form)
        assert answer.status_code == 400, answer.text
        took = until(lambda: status(page) == 303, within=SHORT + 15)
        figure("a used refresh token is used again: the session ends", f"{took:.1f} s, tokens of {SHORT} s")


def test_a_session_ends_when_it_is_idle(
    administration: Administration, sign_in: SignIn, figure: Figure, short_tokens: None
) -> None:
    with administration.realm(ssoSessionIdleTimeout=25):
        busy, idle = (sign_in(administration.person("commercial")) for _ in range(2))
        watch = Stopwatch()
        while watch.seconds < 60:
            assert status(busy) == 200, f"after {watch.seconds:.0f} s"
            time.sleep(5)
        refused = status(idle)
        figure("idle for 60 s, idle time-out 25 s", {303: "signed out", 200: "still signed in"}[refused])
        assert refused == 303


def test_a_session_ends_at_its_maximum(
    administration: Administration, sign_in: SignIn, figure: Figure, short_tokens: None
) -> None:
    with administration.realm(ssoSessionMaxLifespan=30):
        watch, page = Stopwatch(), sign_in(administration.person("commercial"))
        until(lambda: status(page) == 303, within=90)
        figure("session maximum of 30 s", f"signed out after {watch.seconds:.0f} s")


# --- signing out ---


def test_signing_out_of_the_crm_signs_out_of_keycloak(
    administration: Administration, sign_in: SignIn, world: KeycloakWorld, figure: Figure
) -> None:
    person = administration.person("commercial")
    page = sign_in(person)
    assert len(person.sessions()) == 1
    watch = Stopwatch()
    sign_out(page)
    expect(page.get_by_role("heading", name="Connectez-vous")).to_be_visible()
    figure("« Se déconnecter » to Keycloak's sign-in page, no question between", f"{watch.seconds:.1f} s")
    assert person.sessions() == []


def test_signing_out_of_keycloak_signs_out_of_the_crm_on_every_host(
    administration: Administration, sign_in: SignIn, world: KeycloakWorld, figure: Figure
) -> None:
    page = sign_in(administration.person("commercial"))
    name, value = cookie_of(page, world)
    headers = {"Host": world.url.removeprefix("http://"), "Cookie": f"{name}={value}"}
    with world.another_host() as other:
        assert httpx.get(f"{other}/clients", headers=headers).status_code == 200
        leaving = page.context.new_page()
        leaving.goto(f"{world.issuer}/protocol/openid-connect/logout")
        leaving.locator("[type=submit], button").first.click()
        watch = Stopwatch()
        eventually(lambda: httpx.get(f"{other}/clients", headers=headers).status_code == 303, within=5)
        eventually(lambda: status(page) == 303, within=5)
        figure("sign-out at Keycloak's own page: out of the CRM on two hosts", f"{watch.seconds:.2f} s")
        assert watch.seconds < 1


def test_an_administrator_signs_somebody_out(administration: Administration, sign_in: SignIn, figure: Figure) -> None:
    person = administration.person("commercial")
    pages = [sign_in(person), sign_in(person)]
    one = person.sessions()[0]["id"]
    watch = Stopwatch()
    administration.call("DELETE", f"/sessions/{one}")
    eventually(lambda: sorted(map(status, pages)) == [200, 303], within=5)
    figure("an administrator ends one session", f"{watch.seconds:.2f} s, the other goes on")
    watch.restart()
    person.call("POST", "/logout")
    eventually(lambda: list(map(status, pages)) == [303, 303], within=5)
    figure("an administrator signs somebody out everywhere", f"{watch.seconds:.2f} s")


def test_an_administrator_signs_everybody_out(
    administration: Administration, sign_in: SignIn, figure: Figure, short_tokens: None
) -> None:
    """« Sign out all active sessions » calls nobody: what follows is the next refresh."""
    pages = [sign_in(administration.person("commercial")) for _ in range(3)]
    administration.call("POST", "/logout-all")
    took = until(lambda: list(map(status, pages)) == [303] * 3, within=SHORT + 5)
    figure("an administrator signs all people out", f"{took:.0f} s for three sessions, tokens of {SHORT} s")


def test_my_sessions_ends_the_others_here_and_at_keycloak(
    administration: Administration, sign_in: SignIn, figure: Figure, shot: Shot
) -> None:
    person = administration.person("commercial")
    here, elsewhere = sign_in(person), sign_in(person)
    here.goto("/mes-sessions")
    shot(here, "my-sessions")
    expect(here.get_by_test_id("sessions-table").locator("tbody tr")).to_have_count(2)
    watch = Stopwatch()
    here.get_by_role("button", name=re.compile("^Terminer")).last.click()
    expect(here.get_by_text("Session terminée.")).to_be_visible()
    assert status(elsewhere) == 303
    figure("« Mes sessions » ends another one", f"{watch.seconds:.2f} s")
    assert len(person.sessions()) == 1
    elsewhere.goto("/clients")
    expect(elsewhere.get_by_role("heading", name="Connectez-vous")).to_be_visible()
    assert status(here) == 200


# --- keys, secrets, outages ---


def test_keys_change_while_people_are_signed_in(
    administration: Administration, sign_in: SignIn, figure: Figure, short_tokens: None
) -> None:
    page = sign_in(administration.person("commercial"))
    realm = administration.call("GET", "")["id"]
    key = {
        "name": "rsa-neuve",
        "providerId": "rsa-generated",
        "providerType": "org.keycloak.keys.KeyProvider",
        "parentId": realm,
        "config": {"priority": ["500"], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"]},
    }
    new = administration.call("POST", "/components", json=key)
    time.sleep(SHORT + 1)
    assert status(page) == 200  # refreshed: the new key was met for the first time
    assert status(sign_in(administration.person("commercial"))) == 200
    administration.call("DELETE", f"/components/{new}")
    time.sleep(SHORT + 1)
    assert status(page) == 200  # and back to the old one, the new one being withdrawn
    figure("signing key changed and withdrawn while somebody is signed in", "0 s, nobody was signed out")


def test_the_clients_secret_changes(
    administration: Administration, sign_in: SignIn, new_page: Any, world: KeycloakWorld, figure: Figure
) -> None:
    client = administration.client("crm")
    with administration.realm(accessTokenLifespan=SHORT):
        page = sign_in(administration.person("commercial"))
    administration.call("POST", f"/clients/{client['id']}/client-secret")
    try:
        person = administration.person("commercial")
        refused = new_page()
        refused.goto("/clients")
        fill_sign_in(refused, person.username)
        expect(refused.get_by_text("le CRM n’est pas reconnu")).to_be_visible()
        took = until(lambda: status(page) == 503, within=SHORT + 5)
    finally:
        administration.call(
            "PUT", f"/clients/{client['id']}", json=client | {"secret": world.secrets["OIDC_CLIENT_SECRET"]}
        )
    back = until(lambda: status(page) == 200, within=15)
    figure(
        "client secret changed in Keycloak alone",
        f"no sign-in, pages 503 after {took:.0f} s (tokens of {SHORT} s), again {back:.0f} s after the repair",
    )


def test_the_service_account_reads_winleadplus(world: KeycloakWorld, figure: Figure) -> None:
    watch = Stopwatch()
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "winleadplus", "test", "--organisation", "demo"]
    known = world.known
    environment = world.environment | {
        "OIDC_ISSUER": world.issuer,
        "EXTERNAL_API_URL": known["external_api_url"],
        "PAYMENT_SANDBOX_URL": known["payment_sandbox_url"],
        **{name: value for name, value in world.secrets.items() if name in KEPT},
    }
    outcome = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    figure(
        "service account: winleadplus test", f"{watch.seconds:.1f} s, {outcome.stdout.strip().splitlines()[-1][:80]}"
    )


KEPT = ("SECRET_KEY", "CRM_DATA_KEYS", "OIDC_CLIENT_SECRET", "WINLEADPLUS_CLIENT_SECRET", "PAYMENT_SANDBOX_SECRET")


@pytest.mark.parametrize(("speed", "pause"), [("as fast as a script", 0.0), ("slower than one a second", 1.1)])
def test_whoever_guesses_passwords_is_locked_out(
    administration: Administration, sign_in: SignIn, new_page: Any, *, figure: Figure, speed: str, pause: float
) -> None:
    person = administration.person("commercial")
    inside = sign_in(person)
    page = new_page()
    page.goto("/clients")
    attempts, watch = 0, Stopwatch()
    brute_force = f"/attack-detection/brute-force/users/{person.id}"
    while not administration.call("GET", brute_force)["disabled"]:
        assert attempts < 40
        page.locator("input[name=username]").fill(person.username)
        page.locator("input[name=password]").fill(f"wrong-{attempts}")
        page.locator("[type=submit]").click()
        page.wait_for_load_state()
        attempts += 1
        time.sleep(pause)
    fill_sign_in(page, person.username)
    expect(page.get_by_text("invalide")).to_be_visible()  # the right password, and no word of the lock
    assert status(inside) == 200  # who is signed in goes on
    administration.call("DELETE", brute_force)
    fill_sign_in(page, person.username)
    page.wait_for_url("**/clients")
    figure(f"passwords guessed, {speed}", f"locked after {attempts} attempts, {watch.seconds:.0f} s")


def test_keycloak_is_down_for_a_minute(
    administration: Administration, sign_in: SignIn, world: KeycloakWorld, figure: Figure, shot: Shot
) -> None:
    with administration.realm(accessTokenLifespan=30):
        page = sign_in(administration.person("commercial"))
    watch = Stopwatch()
    world.switch_keycloak_off()
    try:
        went_on = until(lambda: status(page) != 200, within=60)
        assert status(page) == 503
        page.goto("/clients")
        expect(page.get_by_text("Le service de connexion ne répond pas")).to_be_visible()
        shot(page, "keycloak-down")
        assert httpx.get(f"{world.url}/connexion").status_code == 503
        time.sleep(max(0.0, 60 - watch.seconds))
    finally:
        world.switch_keycloak_on()
    back = until(lambda: status(page) == 200, within=30)
    figure(
        "Keycloak down for a minute, tokens of 30 s",
        f"pages for {went_on:.0f} s more, then 503; again {back:.0f} s after its return, without a new sign-in",
    )


# --- the realm as it is: tokens of five minutes ---


def test_what_an_administrator_changes_takes_effect_within_five_minutes(
    administration: Administration, sign_in: SignIn, figure: Figure
) -> None:
    disabled, demoted, promoted, moved = people = [administration.person("manager") for _ in range(4)]
    pages = dict(zip((each.username for each in people), map(sign_in, people), strict=True))
    key = OurKey(administration)
    eventually(key.is_believed)
    watch = Stopwatch()
    key.withdraw()
    disabled.call("PUT", json=disabled.call("GET") | {"enabled": False})
    demoted.take("manager")
    promoted.give("admin")
    group = administration.call("POST", "/groups", json={"name": "Commerciaux"})
    administration.call("POST", f"/groups/{group}/role-mappings/realm", json=[administration.role("commercial")])
    moved.take("manager")
    moved.call("PUT", f"/groups/{group}")
    effects: dict[str, Callable[[], bool]] = {
        "a signing key is withdrawn": lambda: not key.is_believed(),
        "an account is disabled": lambda: status(pages[disabled.username]) == 303,
        "the only role is taken away": lambda: status(pages[demoted.username]) == 403,
        "a role is given": lambda: role_of(pages[promoted.username]) == "Administrateur",
        "a role is changed by a group": lambda: role_of(pages[moved.username]) == "Commercial",
    }
    while effects and watch.seconds < 330:
        for what in [what for what, has_come in effects.items() if has_come()]:
            figure(f"{what} (realm as it is)", f"{watch.seconds:.0f} s")
            assert watch.seconds <= 300 + 5
            del effects[what]
        time.sleep(1)
    assert effects == {}
