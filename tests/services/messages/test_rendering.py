"""Texts filled in: what may stand in them, how values read, and that no value is ever more than what it says."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.models.messages import SUBJECT_LENGTH, Channel, MessageKind
from webapp.services.messages import syntax
from webapp.services.messages.kinds import KINDS
from webapp.services.messages.rendering import (
    Text,
    WrongTextError,
    check,
    cleaned,
    example_variables,
    fill,
    measure_sms,
    to_html,
    to_plain_text,
)

EMAIL, SMS, LETTER = Channel.EMAIL, Channel.SMS, Channel.LETTER
REMINDER = KINDS[MessageKind.DUNNING_REMINDER]
NOTICE = KINDS[MessageKind.SEPA_NOTICE]
TABLE = """| Libellé | Montant |
|---|--:|
{% for ligne in impayes %}
| {{ ligne.libelle }} | {{ ligne.montant }} |
{% endfor %}

Total
"""


def filled(body: str, channel: Channel = EMAIL, **values: object) -> str:
    return fill(REMINDER, channel, Text("Objet", body), example_variables(REMINDER) | values).body


def refusal(body: str, channel: Channel = EMAIL) -> WrongTextError:
    with pytest.raises(WrongTextError) as caught:
        check(REMINDER, channel, Text("Objet", body))
    return caught.value


@pytest.mark.parametrize(
    ("body", "line", "sentence"),
    [
        ("Bonjour,\n\n{{ montnat_du }}", 3, "« montnat_du » n’existe pas. Vouliez-vous dire « montant_du »"),
        ("{{ Montant_Du }}", 1, "Vouliez-vous dire « montant_du »"),
        ("{{ zzz }}", 1, "n’existe pas."),
        ("{% for l in impayes %}\n{{ l.montnat }}{% endfor %}", 2, "Vouliez-vous dire « montant »"),
        ("{% for i in range(1000000) %}x{% endfor %}", 1, "une boucle parcourt un tableau (impayes)"),
        ("{% for i in nom %}x{% endfor %}", 1, "« nom » n’est pas un tableau"),
        ("{% for a in impayes %}{% for b in impayes %}{% endfor %}{% endfor %}", 1, "dans une boucle"),
        ("{% for a, b in impayes %}{% endfor %}", 1, "écrivez la boucle ainsi"),
        ("{% for a in impayes if nom %}{% endfor %}", 1, "écrivez la boucle ainsi"),
        ("{{ ''.__class__ }}", 1, "un point ne suit que la ligne d’une boucle"),
        ("{{ nom.x }}", 1, "un point"),
        ("{{ nom['x'] }}", 1, "les crochets"),
        ("{{ nom.upper() }}", 1, "un appel de fonction"),
        ("{{ 9 ** 9 }}", 1, "un calcul"),
        ("{{ 'a' * 9 }}", 1, "un calcul"),
        ("{{ -1 }}", 1, "un calcul"),
        ("{{ [1] }}", 1, "une liste"),
        ("{% set a = 1 %}", 1, "cette construction"),
        ("{% macro a() %}{% endmacro %}", 1, "cette construction"),
        ("{% include 'a' %}", 1, "cette construction"),
        ("{% import 'a' as b %}", 1, "cette construction"),
        ("{{ nom is defined }}", 1, "cette construction"),
        ("{% if nom < 'a' %}{% endif %}", 1, "== et !="),
        ("{{ nom | safe }}", 1, "Filtres permis"),
        ("{{ nom | default(boolean=true) }}", 1, "Filtres permis"),
        ("{{ impayes }}", 1, "parcourez-le par {% for ligne in impayes %}"),
        ("{{ impayes | first }}", 1, "parcourez-le"),
        ("{% for l in impayes %}{{ l }}{% endfor %}", 1, "nommez une colonne"),
        ("{% for loop in impayes %}{% endfor %}", 1, "mal écrite"),
        ("a\n{% if nom %}\nb\n\nc", 2, "{% if … %} n’est pas fermé par {% endif %}"),
        ("a\n{% if nom %}{% if nom %}{% endif %}\nb", 2, "{% if … %} n’est pas fermé"),
        ("a\n{% endif %}", 2, "{% endif %} ne ferme rien"),
        ("{% trans %}", 1, "« trans » n’est pas permise"),
        ("a\n\n{{ nom", 3, "mal écrite"),
        ("{{ nom }", 1, "mal écrite"),
        ("{# nom", 1, "mal écrite"),
        ("{% if nom %}" * 1500, None, "les unes dans les autres"),
        ("{{" + "(" * 15000, None, "les unes dans les autres"),
        ("{{ nom" + " | upper" * 2000 + " }}", 1, "les unes dans les autres"),
        ("{{ " + "9" * 5000 + " }}", None, "n nombre est trop long"),
        ("{{ 1 | first }}", None, "n filtre ne convient pas"),
        ("a\nb\0", 2, "caractère invisible"),
        ("\ud800", 1, "caractère invisible"),
        ("x" * 20_001, None, "20\u202f000 caractères au plus"),
        ("", None, "est vide"),
        ("{% if impayes %}{% endif %}", None, "est vide"),
    ],
)
def test_what_cannot_be_used_is_refused_at_its_line(body: str, line: int | None, sentence: str) -> None:
    error = refusal(body)
    assert error.field == "body"
    assert error.line == line
    assert sentence in error.message.replace("\u00a0", " ")
    assert error.message[0].isupper()


@pytest.mark.parametrize(
    ("subject", "sentence"),
    [
        ("", "de 1 à 200 caractères"),
        ("{% if false %}{% endif %}", "de 1 à 200"),
        ("a\nBcc: x@example.com", "tient sur une ligne"),
        ("a\r", "tient sur une ligne"),
        ("x" * (SUBJECT_LENGTH + 1), "200 caractères au plus"),
        ("{{ montnat_du }}", "Vouliez-vous dire"),
    ],
)
def test_a_subject_that_cannot_be_used_is_refused(subject: str, sentence: str) -> None:
    with pytest.raises(WrongTextError, match=sentence) as caught:
        check(REMINDER, EMAIL, Text(subject, "Bonjour"))
    assert caught.value.field == "subject"


def test_a_subject_is_one_line_whatever_a_value_holds() -> None:
    values = example_variables(REMINDER) | {"nom": "Léa\r\nBcc: x@example.com\u2028\0*"}
    assert fill(REMINDER, EMAIL, Text("Pour {{ nom }}", "x"), values).subject == "Pour Léa Bcc: x@example.com *"
    with pytest.raises(WrongTextError, match="200"):
        fill(REMINDER, EMAIL, Text("Pour {{ nom }}", "x"), values | {"nom": "x" * 300})


def test_values_are_written_as_their_type_reads() -> None:
    values = {
        "montant_du": Decimal("1234.5"),
        "date_limite": date(2026, 12, 1),
        "lien_paiement": None,
        "numero_dossier": 12345,
        "impayes": [{"libelle": "A", "echeance": datetime(2026, 11, 30, 23, 30, tzinfo=UTC), "montant": Decimal(2)}],
    }
    body = "{{ montant_du }} {{ date_limite }} [{{ lien_paiement }}] {{ numero_dossier }}"
    loop = "{% for l in impayes %}{{ l.libelle }} {{ l.echeance }} {{ l.montant }}{% endfor %}"
    written = "1\u202f234,50\u00a0€ 1er décembre 2026 [] 12\u202f345"
    assert filled(body, **values) == written
    assert filled(loop, **values) == "A 1er décembre 2026 2,00\u00a0€"
    assert filled("{% if lien_paiement %}x{% endif %}{% if impayes %}y{% endif %}", **values) == "y"
    assert filled("{% if impayes %}y{% else %}n{% endif %}{{ impayes | length }}", impayes=[]) == "n0"


def test_a_value_that_nobody_gave_is_an_error_and_not_an_empty_place() -> None:
    with pytest.raises(WrongTextError, match="ne valeur manque"):
        fill(REMINDER, EMAIL, Text("x", "{{ nom }}"), {})


@pytest.mark.parametrize(
    "value",
    [
        "*Léa* <script>alert(1)</script>",
        "[x](javascript:alert(1)) ![x](http://evil.example/x.png)",
        "https://evil.example/a_b_c",
        "<https://evil.example>",
        "a | b \\ c \\| d `e` ~~f~~ # g",
        "1. un",
        "- un",
        "&lt;b&gt; &#42; &amp;",
        "{{ nom }} {% endif %}",
        "= ==== --- ***",
    ],
)
def test_a_value_shows_exactly_as_it_is(value: str) -> None:
    markdown = filled("{{ nom }}\n\n| a |\n|---|\n|{{ nom }}|\n\n- {{ nom }}\n\nx{{ nom }}\n{{ nom }}", nom=value)
    assert shown(to_html(markdown)).count(value) == 5
    assert "<a " not in to_html(markdown)
    assert to_plain_text(markdown).count(value) == 5


def shown(html: str) -> str:
    """The text that a browser shows, whatever its tags."""
    texts: list[str] = []
    reader = HTMLParser()
    reader.handle_data = texts.append  # type: ignore[method-assign]
    reader.feed(html)
    return "".join(texts)


@given(st.text(max_size=60))
def test_any_value_shows_as_it_is_but_for_its_white_space(value: str) -> None:
    markdown = filled("a {{ nom }} b", nom=value)
    assert "".join(shown(to_html(markdown)).split()) == "".join(f"a{_visible(value)}b".split())


def _visible(value: str) -> str:
    return "".join(sign for sign in value if sign.isspace() or not _is_left_out(sign))


def _is_left_out(sign: str) -> bool:
    return sign < " " or "\x7f" <= sign <= "\x9f" or sign in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_a_line_break_in_a_value_is_a_space() -> None:
    assert filled("a {{ nom }} b", nom="Léa\r\n\r\n# Titre\n- x") == filled("a {{ nom }} b", nom="Léa # Titre - x")


def test_a_link_to_a_value_leads_there() -> None:
    html = to_html(filled("[Payer]({{ lien_paiement }})", lien_paiement="https://crm.example/p/a_b*c?d=1&e=(2)"))
    assert '<a href="https://crm.example/p/a_b*c?d=1&amp;e=(2)" rel="noopener noreferrer">Payer</a>' in html


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "/clients", "www.x.fr"]
)
def test_a_link_leads_only_to_pages_addresses_and_telephones(address: str) -> None:
    assert "<a" not in to_html(filled("[x]({{ lien_paiement }})", lien_paiement=address))
    assert "<a" not in to_html(f"[x]({address})")


def test_html_and_images_of_the_writer_do_not_get_through() -> None:
    html = to_html("<script>x</script> <b onclick=x>y</b>\n\n![z](https://x.example/y.png)")
    assert "<script" not in html
    assert "<b" not in html
    assert "<img" not in html


def test_a_line_of_tags_leaves_nothing_and_other_lines_stay_whole() -> None:
    html = to_html(filled(TABLE))
    assert html.count("<tr>") == 3
    assert "<p>Total</p>" in html
    assert filled("a{% if nom %} b{% endif %}\n\nc") == "a b\n\nc"
    assert filled("{% if nom %}\na\n{% endif %}\nb") == "a\nb"
    assert filled("{% if nom %}a{% endif %}\nb") == "a\nb"
    assert refusal("a{% if nom %} b{% endif %}\n\n{{ x }}").line == 3


def test_plain_text_keeps_links_lists_and_rows() -> None:
    markdown = """# Titre

**Gras** et [Payer](https://x.example/p), <https://x.example>, [écrire](mailto:a@b.example)
suite

- un
- deux
  - trois

3. x
4. y

> cité

| A | B |
|---|---|
| 1 | 2 |

---

    code
"""
    assert to_plain_text(markdown) == (
        "Titre\n\nGras et Payer (https://x.example/p), https://x.example, écrire (a@b.example)\nsuite\n\n"
        "- un\n- deux\n  \n  - trois\n\n3. x\n4. y\n\n> cité\n\nA | B\n1 | 2\n\n".replace("  \n", "\n")
        + "-" * 40
        + "\n\ncode\n"
    )


@pytest.mark.parametrize(
    ("text", "characters", "parts", "is_gsm"),
    [
        ("", 0, 0, True),
        ("a" * 160, 160, 1, True),
        ("a" * 161, 161, 2, True),
        ("a" * 306, 306, 2, True),
        ("a" * 307, 307, 3, True),
        ("€" * 80, 160, 1, True),
        ("€" * 81, 162, 2, True),
        ("ê" * 70, 70, 1, False),
        ("ê" * 71, 71, 2, False),
        ("ê" * 135, 135, 3, False),
        ("😀" * 35, 70, 1, False),
        ("éèàùÇ", 5, 1, True),
    ],
)
def test_an_sms_is_measured_as_it_is_paid(text: str, characters: int, parts: int, is_gsm: bool) -> None:
    assert measure_sms(text) == (characters, parts, is_gsm)


def test_an_sms_is_plain_and_written_as_phones_have_it() -> None:
    body = "« {{ nom }} » – l’avis… {{ montant_du }} le {{ date_limite }}"
    written = filled(body, SMS, nom="*O’Brien* <b>", montant_du=Decimal(1234), date_limite=date(2026, 8, 1))
    assert written == "\"*O'Brien* <b>\" - l'avis... 1 234,00 € le 01/08/2026"
    assert measure_sms(written).is_gsm
    assert fill(REMINDER, SMS, Text("ignoré", "x"), {}).subject == ""


def test_an_sms_has_ten_parts_at_most() -> None:
    assert filled("{{ nom }}", SMS, nom="a" * 1530)
    with pytest.raises(WrongTextError, match="10 parties"):
        filled("{{ nom }}", SMS, nom="a" * 1531)
    assert "2\u202f000 caractères" in refusal("x" * 2001, SMS).message


def test_what_a_form_sends_is_cleaned() -> None:
    assert cleaned(" a\r\nb\0 ", "\r\nx  \r\ny\rz\t\n\ud800\u202e\n") == ("a\nb", "\nx\ny\nz")


def test_every_example_is_of_its_type() -> None:
    for kind in KINDS.values():
        for variable in kind.all_variables:
            assert example_variables(kind)[variable.name] or variable.name == "assurance", "seldom said"
    assert example_variables(NOTICE)["date_prelevement"] == date(2026, 12, 5)
    assert example_variables(NOTICE)["montant"] == Decimal("49.90")


def test_a_text_is_compiled_once() -> None:
    text = Text("Compilé une fois", "{{ nom }} une fois")
    fill(REMINDER, EMAIL, text, example_variables(REMINDER))
    before = syntax.compiled.cache_info().misses
    for number in range(50):
        fill(replace(REMINDER), EMAIL, text, example_variables(REMINDER) | {"nom": str(number)})
    assert syntax.compiled.cache_info().misses == before
