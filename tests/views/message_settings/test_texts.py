"""The settings of texts: versions, preview, what is refused and where it says so, and who may."""

import html

import pytest
from flask.testing import FlaskClient

from tests import factories
from tests.conftest import HTMX, Cast
from tests.queries import recorded_queries
from webapp.extensions import db
from webapp.models.messages import HeldReason, Message, MessageKind, MessageSwitch, MessageTemplate
from webapp.services.messages.kinds import KINDS
from webapp.services.messages.texts import channels_of

PAGE = "/reglages/messages"
WELCOME = f"{PAGE}/textes/welcome"

pytestmark = pytest.mark.usefixtures("cast")


def form(**values: str) -> dict[str, str]:
    usual = {
        "canal": "email",
        "societe": "",
        "objet": "Bienvenue",
        "texte": "Bonjour {{ nom_complet }}",
        "version": "1",
    }
    return usual | values


def read(answer: object) -> str:
    return html.unescape(answer.text).replace("\u00a0", " ").replace("\u202f", " ")  # type: ignore[attr-defined]


def test_every_kind_is_listed_and_has_a_page(admin_client: FlaskClient) -> None:
    page = read(admin_client.get(PAGE))
    for kind in MessageKind:
        assert f'data-kind="{kind}"' in page
        for channel in channels_of(kind):
            answer = admin_client.get(f"{PAGE}/textes/{kind}?canal={channel}")
            assert answer.status_code == 200
            assert KINDS[kind].label in read(answer)
            assert 'data-testid="fault"' not in answer.text
            assert answer.text.count('data-testid="variable-row"') == len(KINDS[kind].all_variables)
    assert db.session.query(MessageTemplate).count() == 0


def test_the_numbers_of_queries_do_not_grow(admin_client: FlaskClient) -> None:
    numbers = []
    for version in ("1", "2", "3"):
        admin_client.post(WELCOME, data=form(version=version, objet=f"Bienvenue {version}"))
        factories.CompanyFactory(name=f"Société {version}")
        db.session.expunge_all()
        for address in (PAGE, WELCOME):
            with recorded_queries() as queries:
                admin_client.get(address)
            numbers.append(len(queries))
    assert numbers[2:4] == numbers[4:6]
    assert max(numbers) <= 8


def test_an_admin_saves_a_version(admin_client: FlaskClient) -> None:
    answer = admin_client.post(WELCOME, data=form())
    assert (answer.status_code, answer.location) == (303, f"{WELCOME}?canal=email")
    page = read(admin_client.get(answer.location))
    assert "Version 2 enregistrée" in page
    assert page.index('data-version="2"') < page.index('data-version="1"')
    assert "Bonjour {{ nom_complet }}</textarea>" in page
    assert "Bonjour Camille Martin" in page
    assert "v2" in read(admin_client.get(PAGE))
    answer = admin_client.post(WELCOME, data=form(version="2"))
    assert "rien n’a changé" in read(admin_client.get(answer.location))


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"texte": "Bonjour,\n\n{{ nom_compler }}"}, 422, "Ligne 3 : la variable « nom_compler » n’existe pas."),
        ({"texte": "{% for i in range(1000000) %}x{% endfor %}"}, 422, "Ligne 1"),
        ({"texte": "{{ ''.__class__ }}"}, 422, "Ligne 1"),
        ({"texte": "{% if nom %}"}, 422, "n’est pas fermé"),
        ({"texte": "\0"}, 422, "est vide"),
        ({"texte": "x" * 20_001}, 422, "au plus"),
        ({"objet": "a\nBcc: x@example.com"}, 422, "tient sur une ligne"),
        ({"objet": ""}, 422, "Un objet a de 1 à 200 caractères"),
        ({"date": "2026-11-19"}, 422, "aujourd’hui ou plus tard"),
        ({"date": "demain"}, 422, "n’est pas possible"),
        ({"version": "0"}, 409, "Un collègue a enregistré"),
        ({"version": "x"}, 409, "Un collègue a enregistré"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_was_written(
    admin_client: FlaskClient, change: dict[str, str], status: int, sentence: str
) -> None:
    answer = admin_client.post(WELCOME, data=form(**change))
    assert answer.status_code == status
    assert sentence in read(answer)
    assert html.escape(form(**change)["texte"]).replace("\0", "") in answer.text.replace("&#39;", "&#x27;").replace(
        "\0", ""
    )
    assert db.session.query(MessageTemplate).count() == 0


def test_a_refusal_names_the_line_and_what_was_meant(admin_client: FlaskClient) -> None:
    page = read(admin_client.post(WELCOME, data=form(texte="Bonjour\n{{ montnat }}")))
    assert "Vouliez-vous dire « montant » ?" in page
    assert '<pre class="message-line">{{ montnat }}</pre>' in page
    assert 'aria-invalid="true"' in page


def test_the_preview_shows_examples_or_a_clients_own_data(admin_client: FlaskClient, cast: Cast) -> None:
    factories.ClientFactory(last_name="*Zola* <b>", first_name="Émile", civility="M.")
    text = form(texte="Bonjour **{{ nom_complet }}**, {{ montant }}", client="zola")
    page = read(admin_client.post(f"{WELCOME}/apercu", data=text, headers=HTMX))
    assert "Avec les données de *Zola*" in page
    assert "<strong>Émile *Zola* <b></strong>, 49,90 €" in page
    assert "<html" not in page
    page = read(admin_client.post(f"{WELCOME}/apercu", data=text | {"client": "introuvable"}, headers=HTMX))
    assert "Aucun client trouvé" in page
    assert "Camille Martin" in page
    page = read(admin_client.post(f"{WELCOME}/apercu", data=text | {"texte": "{{ x }}"}, headers=HTMX))
    assert "Ligne 1" in page
    assert db.session.query(MessageTemplate).count() == 0


def test_without_script_the_preview_is_the_page_with_what_was_written(admin_client: FlaskClient) -> None:
    page = read(admin_client.post(f"{WELCOME}/apercu", data=form(texte="Coucou {{ prenom }}")))
    assert "Coucou {{ prenom }}</textarea>" in page
    assert "<p>Coucou Camille</p>" in page


def test_an_sms_says_how_much_it_takes(admin_client: FlaskClient) -> None:
    text = form(canal="sms", texte="x" * 161)
    page = read(admin_client.post(f"{PAGE}/textes/free/apercu", data=text, headers=HTMX))
    assert "161 caractères, 2 SMS" in page
    page = read(admin_client.post(f"{PAGE}/textes/free/apercu", data=text | {"texte": "ê"}, headers=HTMX))
    assert "1 caractère, 1 SMS" in page
    assert "70 caractères" in page


def test_the_email_is_a_page_that_runs_and_fetches_nothing(admin_client: FlaskClient) -> None:
    answer = admin_client.post(f"{WELCOME}/email", data=form())
    assert answer.status_code == 200
    assert "Bonjour Camille Martin" in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "Ne plus recevoir" not in answer.text
    prospection = admin_client.post(f"{PAGE}/textes/prospection/email", data=form())
    assert "Ne plus recevoir" in prospection.text
    answer = admin_client.post(f"{WELCOME}/email", data=form(texte="{{ x }}"))
    assert answer.status_code == 422
    assert "Ligne 1" in read(answer)


def test_after_a_colleagues_version_was_seen_ones_own_is_saved(admin_client: FlaskClient) -> None:
    admin_client.post(WELCOME, data=form())
    answer = admin_client.post(WELCOME, data=form(texte="Le mien"))
    assert answer.status_code == 409
    assert 'name="version" value="2"' in answer.text
    assert "Le mien</textarea>" in answer.text
    assert admin_client.post(WELCOME, data=form(texte="Le mien", version="2")).status_code == 303


@pytest.mark.parametrize("field", ["client", "texte", "objet", "date", "version"])
@pytest.mark.parametrize("value", ["\0", "\ud800", "\u202e", "%", "x" * 100_000])
def test_odd_input_is_never_an_error_of_ours(admin_client: FlaskClient, field: str, value: str) -> None:
    written = form(**{field: value.encode("utf-8", "replace").decode()})
    for address in (WELCOME, f"{WELCOME}/apercu", f"{WELCOME}/email", f"{WELCOME}/essai"):
        assert admin_client.post(address, data=written).status_code in (200, 303, 409, 422)


def test_an_older_version_is_compared_and_taken_up(admin_client: FlaskClient) -> None:
    admin_client.post(WELCOME, data=form())
    page = admin_client.get(f"{WELCOME}/versions/1?canal=email").text
    assert "<del>Bienvenue chez {{ societe }}</del>" in html.unescape(page)
    assert "<ins>Bienvenue</ins>" in page
    answer = admin_client.post(f"{WELCOME}/versions/1/reprise", data={"canal": "email", "version": "1"})
    assert "Un collègue" in read(admin_client.get(answer.location))
    answer = admin_client.post(f"{WELCOME}/versions/1/reprise", data={"canal": "email", "version": "2"})
    assert answer.status_code == 303
    page = read(admin_client.get(answer.location))
    assert "Version 3 enregistrée" in page
    assert "Bienvenue chez {{ societe }}" in page
    assert "Reprendre" not in admin_client.get(f"{WELCOME}/versions/3").text


def test_a_company_has_a_text_of_its_own(admin_client: FlaskClient) -> None:
    company = factories.CompanyFactory(name="Autre société")
    page = read(admin_client.get(f"{WELCOME}?societe={company.id}"))
    assert "envoie le texte de toutes les sociétés" in page
    admin_client.post(WELCOME, data=form(societe=str(company.id), version="0"))
    page = read(admin_client.get(f"{WELCOME}?societe={company.id}"))
    assert "Bonjour {{ nom_complet }}</textarea>" in page
    assert "Bonjour {{ nom_complet }}</textarea>" not in read(admin_client.get(f"{WELCOME}?societe="))
    assert "texte propre : Autre société" in read(admin_client.get(PAGE))


def test_a_company_goes_back_to_the_text_of_all(admin_client: FlaskClient) -> None:
    own = {"societe": str(factories.default_company().id), "version": "0", "objet": "À nous"}
    back = f"{WELCOME}/commun"
    page = f"{WELCOME}?canal=email&societe={own['societe']}"
    assert "Reprendre le texte commun" not in read(admin_client.get(page))
    admin_client.post(WELCOME, data=form(**own))
    assert "Reprendre le texte commun" in read(admin_client.get(page))
    assert admin_client.post(back, data=form(**own) | {"version": "1"}).status_code == 303
    shown = read(admin_client.get(page))
    assert "envoie le texte de toutes les sociétés" in shown
    assert "texte commun en vigueur" in " ".join(shown.replace("<strong>", "").split())
    assert "À nous" not in shown, "the form begins with the text of all"
    assert "texte propre" not in read(admin_client.get(PAGE))
    admin_client.post(back, data=form(**own) | {"version": "1"})
    assert db.session.query(MessageTemplate).filter_by(company_id=factories.default_company().id).count() == 2
    versions = f"{WELCOME}/versions"
    query = f"canal=email&societe={own['societe']}"
    assert "De cette version au texte commun" in read(admin_client.get(f"{versions}/1?{query}"))
    assert admin_client.get(f"{versions}/2?{query}").status_code == 404
    assert admin_client.post(back, data=form()).status_code == 404, "all have no other text to go back to"


def test_a_kind_is_switched_off_and_on(admin_client: FlaskClient) -> None:
    company_id = str(factories.default_company().id)
    answer = admin_client.post(f"{WELCOME}/envoi", data={"societe": company_id, "envoi": "0"})
    assert answer.status_code == 303
    assert "Bienvenue : ne part plus" in read(admin_client.get(PAGE))
    assert db.session.query(MessageSwitch).count() == 1
    admin_client.post(f"{WELCOME}/envoi", data={"societe": company_id, "envoi": "1"})
    assert db.session.query(MessageSwitch).count() == 0
    answer = admin_client.post(f"{PAGE}/textes/sepa_notice/envoi", data={"societe": company_id, "envoi": "0"})
    assert answer.status_code == 409
    assert "aucun prélèvement SEPA" in read(answer)


def test_a_trial_goes_to_oneself_and_the_text_stays_in_the_form(admin_client: FlaskClient, cast: Cast) -> None:
    written = form(texte="Coucou {{ prenom }}, {{ montant }}")
    answer = admin_client.post(f"{WELCOME}/essai", data=written)
    assert answer.status_code == 200
    assert "Coucou {{ prenom }}, {{ montant }}</textarea>" in read(answer)
    message = db.session.query(Message).one()
    assert (message.user_id, message.client_id, message.is_asked_for) == (cast.admin.id, None, True)
    assert message.held_reason is HeldReason.NO_SENDER
    assert message.to_in_clear() == cast.admin.email
    assert message.content_in_clear()["subject"] == "[Essai] Bienvenue"
    assert message.content_in_clear()["body"] == "Coucou Camille, 49,90\u00a0€"
    assert "Essai retenu : La société n’a pas d’expéditeur" in read(admin_client.get(WELCOME)) + read(answer)
    admin_client.post(f"{WELCOME}/essai", data=written)
    assert db.session.query(Message).count() == 2
    assert db.session.query(MessageTemplate).count() == 0


def test_a_trial_that_cannot_be_filled_or_is_switched_off_is_refused(admin_client: FlaskClient) -> None:
    answer = admin_client.post(f"{WELCOME}/essai", data=form(texte="{{ x }}"))
    assert answer.status_code == 422
    assert "Ligne 1" in read(answer)
    company_id = str(factories.default_company().id)
    admin_client.post(f"{WELCOME}/envoi", data={"societe": company_id, "envoi": "0"})
    answer = admin_client.post(f"{WELCOME}/essai", data=form())
    assert answer.status_code == 409
    assert "n’envoie pas ce message" in read(answer)
    assert admin_client.post(f"{PAGE}/textes/free/essai", data=form(canal="sms")).status_code == 404
    assert db.session.query(Message).count() == 0


ADDRESSES = [
    ("POST", f"{WELCOME}/essai"),
    ("GET", PAGE),
    ("GET", WELCOME),
    ("POST", WELCOME),
    ("POST", f"{WELCOME}/apercu"),
    ("POST", f"{WELCOME}/email"),
    ("POST", f"{WELCOME}/envoi"),
    ("GET", f"{WELCOME}/versions/1"),
    ("POST", f"{WELCOME}/versions/1/reprise"),
    ("POST", f"{WELCOME}/commun"),
]


@pytest.mark.parametrize(("method", "address"), ADDRESSES)
def test_only_admins(client: FlaskClient, manager_client: FlaskClient, method: str, address: str) -> None:
    for browser in (client, manager_client):
        assert browser.open(address, method=method, data=form() if method == "POST" else None).status_code == 403
    assert db.session.query(MessageTemplate).count() == 0


def test_an_outsider_sees_and_changes_nothing_of_ours(admin_client: FlaskClient, outsider_client: FlaskClient) -> None:
    company_id = str(factories.default_company().id)
    client = factories.ClientFactory(last_name="Zola")
    admin_client.post(WELCOME, data=form())
    assert 'data-version="2"' not in outsider_client.get(WELCOME).text
    assert outsider_client.get(f"{WELCOME}/versions/2").status_code == 404
    assert outsider_client.get(f"{WELCOME}?societe={company_id}").status_code == 404
    assert outsider_client.post(WELCOME, data=form(societe=company_id, version="0")).status_code == 404
    assert outsider_client.post(f"{WELCOME}/commun", data=form(societe=company_id)).status_code == 404
    off = {"societe": company_id, "envoi": "0"}
    assert outsider_client.post(f"{WELCOME}/envoi", data=off).status_code == 404
    found = outsider_client.post(f"{WELCOME}/apercu", data=form(client=client.last_name), headers=HTMX)
    assert "Aucun client trouvé" in read(found)


@pytest.mark.parametrize(
    "address",
    [
        f"{PAGE}/textes/publicite",
        f"{WELCOME}?canal=sms",
        f"{WELCOME}?canal=pigeon",
        f"{WELCOME}?societe=x",
        f"{WELCOME}/versions/2",
        f"{WELCOME}/versions/9999999999999",
    ],
)
def test_what_does_not_exist_is_not_found(admin_client: FlaskClient, address: str) -> None:
    assert admin_client.get(address).status_code == 404
