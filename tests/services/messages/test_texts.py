"""The texts that ship: every one can be filled in, with all that its kind may say and without what may be missing."""

import pytest

from webapp.models.messages import Channel, MessageKind
from webapp.services.messages.kinds import KINDS
from webapp.services.messages.rendering import Text, check, example_variables, fill, measure_sms, to_html, to_plain_text
from webapp.services.messages.texts import SHIPPED, channels_of

ALL = list(SHIPPED.items())
IDS = [f"{kind}-{channel}" for kind, channel in SHIPPED]
MAY_BE_MISSING = frozenset(
    "civilite prenom nom commercial societe_telephone societe_email lien_paiement prochaine_echeance prochain_essai"
    " motif valable_jusqu_au facture date_limite numero_dossier reprise_le date_fin impayes commerciaux".split()
)


def test_every_kind_has_a_text_for_each_of_its_channels() -> None:
    for kind in KINDS.values():
        wanted = {*kind.channels, *(kind.purposes or ())}
        assert wanted <= set(channels_of(kind.code)), kind.code
    assert channels_of(MessageKind.DUNNING_REMINDER) == (Channel.EMAIL, Channel.LETTER)
    assert channels_of(MessageKind.FREE) == (Channel.EMAIL, Channel.SMS)


@pytest.mark.parametrize(("place", "text"), ALL, ids=IDS)
def test_each_is_complete_with_everything_and_with_little(place: tuple[MessageKind, Channel], text: Text) -> None:
    code, channel = place
    kind = KINDS[code]
    check(kind, channel, text)
    full = example_variables(kind)
    little = {name: None if name in MAY_BE_MISSING else value for name, value in full.items()}
    little |= {"abonnement": None} if code is MessageKind.MEANS_REQUEST else {}
    for variables in (full, little):
        filled = fill(kind, channel, text, variables)
        for words in (filled.subject, to_plain_text(filled.body), to_html(filled.body)):
            assert "{" not in words
            assert "None" not in words
            assert "()" not in words
            assert "**" not in words
        assert str(variables["societe"]).split()[0] in filled.subject + filled.body or code == MessageKind.WEEKLY_DIGEST


@pytest.mark.parametrize(("place", "text"), [each for each in ALL if each[0][1] is Channel.SMS])
def test_an_sms_is_two_parts_at_most(place: tuple[MessageKind, Channel], text: Text) -> None:
    kind = KINDS[place[0]]
    size = measure_sms(fill(kind, Channel.SMS, text, example_variables(kind)).body)
    assert size.is_gsm
    assert size.parts <= 2


def test_a_formal_notice_says_what_the_law_wants() -> None:
    kind = KINDS[MessageKind.FORMAL_NOTICE]
    filled = fill(kind, Channel.LETTER, SHIPPED[kind.code, Channel.LETTER], example_variables(kind))
    words = to_plain_text(filled.body).replace("\u00a0", " ")
    for wanted in ("vous mettons en demeure", "1344", "1231", "84,20 €", "12 décembre 2026", "taux légal", "I-31"):
        assert wanted in words


def test_a_formal_notice_of_a_premium_says_what_the_law_of_insurance_wants() -> None:
    kind = KINDS[MessageKind.FORMAL_NOTICE]
    variables = example_variables(kind) | {"assurance": "oui"}
    words = to_plain_text(fill(kind, Channel.LETTER, SHIPPED[kind.code, Channel.LETTER], variables).body)
    words = words.replace("\u00a0", " ")
    for wanted in ("L113-3", "vous mettons en demeure", "84,20 €", "suspendue trente jours", "dix jours", "à midi"):
        assert wanted in words
    for other in ("1344", "huit jours", "12 décembre 2026"):
        assert other not in words
