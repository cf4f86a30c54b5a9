"""The kinds of messages: what each may say, by which channel it goes, and what it may go without.

A kind that a contract requires needs no consent. One that must arrive is sent again where nobody knows whether it left:
better twice than never, for what the law counts days from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from webapp.models.consents import ConsentPurpose
from webapp.models.messages import Channel, MessageKind

EMAIL, SMS, LETTER = Channel.EMAIL, Channel.SMS, Channel.LETTER


class VariableType(StrEnum):
    """What a variable holds, hence how it is written: 1 234,50 €, 20 novembre 2026, 12."""

    TEXT = "text"
    MONEY = "money"
    DATE = "date"
    NUMBER = "number"
    TABLE = "table"


@dataclass(frozen=True)
class Variable:
    """One thing that a text may say. ``example`` is as it reads; a table has ``columns``, and is looped over.

    A date or a text may be missing: it is empty then, and ``{% if … %}`` asks. What is seldom said has no example: a
    preview shows the usual text.
    """

    name: str
    type: VariableType
    label: str
    example: str = ""
    columns: tuple["Variable", ...] = ()


@dataclass(frozen=True)
class Kind:
    """A kind: its words on the screen, its variables beside the common ones, its channels in order of preference.

    ``purposes`` are the consents that it needs, by channel; none where a contract requires it.
    """

    code: MessageKind
    label: str
    group: str
    when: str
    variables: tuple[Variable, ...] = ()
    channels: tuple[Channel, ...] = (EMAIL,)
    purposes: Mapping[Channel, ConsentPurpose] | None = None
    must_arrive: bool = False
    is_asked_for: bool = False
    is_for_clients: bool = True

    @property
    def is_required(self) -> bool:
        """Whether a contract requires it, so that no consent is needed."""
        return self.purposes is None

    def purpose(self, channel: Channel) -> ConsentPurpose | None:
        """The consent without which it does not go by that channel."""
        return self.purposes.get(channel) if self.purposes else None

    @property
    def all_variables(self) -> tuple[Variable, ...]:
        """Its own variables after those that every message has."""
        return (*(COMMON if self.is_for_clients else COMMON_TO_COLLEAGUES), *self.variables)


def _text(name: str, label: str, example: str) -> Variable:
    return Variable(name, VariableType.TEXT, label, example)


def _money(name: str, label: str, example: str = "49,90 €") -> Variable:
    return Variable(name, VariableType.MONEY, label, example)


def _date(name: str, label: str, example: str = "5 décembre 2026") -> Variable:
    return Variable(name, VariableType.DATE, label, example)


def _number(name: str, label: str, example: str = "12") -> Variable:
    return Variable(name, VariableType.NUMBER, label, example)


def _table(name: str, label: str, *columns: Variable) -> Variable:
    return Variable(name, VariableType.TABLE, label, columns=columns)


_COMPANY = (
    _text("societe", "Nom de la société", "Verger & Cie"),
    _text("societe_telephone", "Téléphone de la société", "01 99 00 12 34"),
    _text("societe_email", "E-mail de la société", "contact@verger.example"),
)
COMMON = (
    _text("civilite", "Civilité", "Mme"),
    _text("prenom", "Prénom", "Camille"),
    _text("nom", "Nom", "Martin"),
    _text("nom_complet", "Prénom et nom", "Camille Martin"),
    _text("commercial", "Commercial du client", "Nora Petit"),
    *_COMPANY,
)
COMMON_TO_COLLEAGUES = (_text("nom_complet", "Nom de la personne", "Nora Petit"), *_COMPANY)

_SUBSCRIPTION = _text("abonnement", "Ce à quoi le client est abonné", "Panier de saison (S-1042)")
_PAYMENT_LINK = _text("lien_paiement", "Lien de paiement, s’il y en a un", "https://crm.example/paiement/…")
_PLAN = _text("formule", "Formule choisie", "Confort")
_DUNNING = (
    _money("montant_du", "Total dû", "84,20 €"),
    _table(
        "impayes",
        "Ce qui est dû",
        _text("libelle", "Libellé", "Panier de saison (P-2310)"),
        _date("echeance", "Échéance", "5 novembre 2026"),
        _money("montant", "Montant", "42,10 €"),
    ),
    _date("date_limite", "À payer avant le", "12 décembre 2026"),
    _PAYMENT_LINK,
    _text(
        "lien_moyen",
        "Lien pour donner un autre moyen de paiement, si l’étape le demande",
        "https://crm.example/moyen-de-paiement/…",
    ),
    _text("numero_dossier", "Numéro du dossier", "I-31"),
    _text("assurance", "«\u00a0oui\u00a0» si une prime d’assurance en fait partie", ""),
)

_COVER = (
    _text("couverture", "Numéro de la couverture", "V-214"),
    _text("formule", "Formule", "Confort"),
)
_TERMINATION = (
    *_COVER,
    _text("motif", "Motif de la résiliation", "Déménagement"),
    _date("date_fin", "Premier jour sans couverture", "21 décembre 2026"),
)

_ALL = (
    Kind(
        MessageKind.SEPA_NOTICE,
        "Avis de prélèvement",
        "Paiements",
        "Avant chaque prélèvement SEPA, le nombre de jours convenu",
        (
            _SUBSCRIPTION,
            _money("montant", "Montant"),
            _date("date_prelevement", "Date du prélèvement"),
            _text("rum", "Référence du mandat (RUM)", "MD-1042"),
            _text("ics", "Identifiant créancier (ICS)", "FR12ZZZ123456"),
            _text("iban_fin", "Fin de l’IBAN", "…0189"),
        ),
        (EMAIL, SMS, LETTER),
        must_arrive=True,
    ),
    Kind(
        MessageKind.WELCOME,
        "Bienvenue",
        "Abonnements",
        "Au premier paiement d’un abonnement",
        (
            _SUBSCRIPTION,
            _money("montant", "Montant payé"),
            _date("prochaine_echeance", "Prochaine échéance", "5 janvier 2027"),
        ),
    ),
    Kind(
        MessageKind.PAYMENT_FAILED,
        "Paiement refusé",
        "Paiements",
        "Quand un prélèvement est refusé",
        (
            _SUBSCRIPTION,
            _money("montant", "Montant"),
            _text("motif", "Motif du refus", "La provision du compte est insuffisante."),
            _date("prochain_essai", "Prochain essai, s’il y en a un", "8 décembre 2026"),
            _PAYMENT_LINK,
        ),
        (EMAIL, SMS),
    ),
    Kind(
        MessageKind.CARD_EXPIRES,
        "Carte qui expire",
        "Paiements",
        "Le mois avant celui où la carte expire",
        (
            _text("carte_fin", "Fin du numéro de carte", "…4242"),
            _date("expire_le", "Dernier jour de validité", "31 décembre 2026"),
            _PAYMENT_LINK,
        ),
        (EMAIL, SMS),
    ),
    Kind(
        MessageKind.MEANS_REQUEST,
        "Demande de moyen de paiement",
        "Paiements",
        "Quand on demande au client une carte ou un mandat",
        (
            _text("lien", "Lien à ouvrir", "https://crm.example/moyen-de-paiement/…"),
            _date("valable_jusqu_au", "Valable jusqu’au", "19 décembre 2026"),
            _text("abonnement", "Ce à quoi le client est abonné, si la demande le dit", "Panier de saison (S-1042)"),
        ),
        (EMAIL, SMS),
        is_asked_for=True,
    ),
    Kind(
        MessageKind.INVOICE,
        "Facture",
        "Paiements",
        "À l’émission d’une facture, qui est jointe",
        (
            _text("numero", "Numéro", "F-2026-000123"),
            _money("montant", "Montant"),
            _date("date_facture", "Date"),
        ),
    ),
    Kind(
        MessageKind.CREDIT_NOTE,
        "Avoir",
        "Paiements",
        "À l’émission d’un avoir, qui est joint",
        (
            _text("numero", "Numéro", "A-2026-000012"),
            _money("montant", "Montant"),
            _date("date_facture", "Date"),
            _text("facture", "Facture corrigée", "F-2026-000123"),
        ),
    ),
    Kind(
        MessageKind.MANDATE_REVOKED,
        "Mandat révoqué",
        "Paiements",
        "Quand un mandat est révoqué",
        (_text("rum", "Référence du mandat (RUM)", "MD-1042"), _date("date_revocation", "Date de la révocation")),
    ),
    Kind(
        MessageKind.DUNNING_REMINDER,
        "Relance",
        "Relances",
        "À l’étape « e-mail » d’une séquence de relance",
        _DUNNING,
        (EMAIL,),
    ),
    Kind(
        MessageKind.DUNNING_SMS,
        "Relance par SMS",
        "Relances",
        "À l’étape « SMS » d’une séquence de relance",
        _DUNNING,
        (SMS,),
    ),
    Kind(
        MessageKind.FORMAL_NOTICE,
        "Mise en demeure",
        "Relances",
        "À l’étape « lettre » d’une séquence de relance",
        _DUNNING,
        (LETTER,),
        must_arrive=True,
    ),
    Kind(
        MessageKind.SUSPENSION_NOTICE,
        "Suspension pour impayé",
        "Relances",
        "Quand une séquence de relance suspend",
        _DUNNING,
        (EMAIL, LETTER),
        must_arrive=True,
    ),
    Kind(
        MessageKind.TERMINATION_NOTICE,
        "Résiliation pour impayé",
        "Relances",
        "Quand une séquence de relance résilie",
        _DUNNING,
        (EMAIL, LETTER),
        must_arrive=True,
    ),
    Kind(
        MessageKind.PAYMENT_PLAN,
        "Échéancier accordé",
        "Relances",
        "Quand un échéancier est convenu",
        _DUNNING,
        (EMAIL, LETTER),
    ),
    Kind(
        MessageKind.SUBSCRIPTION_PAUSED,
        "Abonnement suspendu",
        "Abonnements",
        "Quand un abonnement est suspendu",
        (_SUBSCRIPTION, _date("reprise_le", "Reprise prévue, si elle l’est", "5 février 2027")),
    ),
    Kind(
        MessageKind.SUBSCRIPTION_RESUMED,
        "Abonnement repris",
        "Abonnements",
        "Quand un abonnement reprend",
        (_SUBSCRIPTION, _date("prochaine_echeance", "Prochaine échéance")),
    ),
    Kind(
        MessageKind.SUBSCRIPTION_CANCELED,
        "Abonnement résilié",
        "Abonnements",
        "Quand un abonnement est résilié",
        (_SUBSCRIPTION, _date("date_fin", "Date de fin")),
    ),
    Kind(
        MessageKind.SUBSCRIPTION_ENDED,
        "Abonnement échu",
        "Abonnements",
        "Quand un abonnement arrive à son terme",
        (_SUBSCRIPTION, _date("date_fin", "Date de fin")),
    ),
    Kind(
        MessageKind.SHIPMENT_SENT,
        "Expédition en route",
        "Expéditions",
        "Quand une expédition est remise au transporteur",
        (
            _text("reference", "Référence de l’expédition", "L000012-0347"),
            _text("transporteur", "Transporteur, s’il y en a un", "Colissimo"),
            _text("numero_suivi", "Numéro de suivi, s’il y en a un", "8R12345678901"),
            _table(
                "contenu",
                "Ce qu’elle contient",
                _text("libelle", "Libellé", "Panier de saison"),
                _number("quantite", "Quantité", "2"),
            ),
        ),
        (EMAIL, SMS),
    ),
    Kind(
        MessageKind.SALE_DOCUMENTS,
        "Documents avant souscription",
        "Couvertures",
        "Quand on envoie au client les documents de la formule qu’il choisit, joints",
        (_PLAN,),
        is_asked_for=True,
    ),
    Kind(
        MessageKind.SALE_ACCEPTANCE,
        "Souscription à accepter",
        "Couvertures",
        "Quand on demande au client d’accepter sa souscription par un lien",
        (
            _PLAN,
            _text("logement", "Logement couvert", "3 rue du Port, 59000 Lille"),
            _money("montant", "Montant par échéance, taxe comprise", "14,06 €"),
            _text("rythme", "Rythme des échéances", "par mois"),
            _date("prise_effet", "Prise d’effet"),
            _text("lien", "Lien à ouvrir", "https://crm.example/accord/…"),
            _date("valable_jusqu_au", "Valable jusqu’au", "19 décembre 2026"),
        ),
        is_asked_for=True,
    ),
    Kind(
        MessageKind.SALE_SIGNED,
        "Confirmation de souscription",
        "Couvertures",
        "Quand le client a signé sa souscription : ce qu’il a signé, avec les documents de la formule joints",
        (
            _text("souscription", "Numéro de la souscription", "N-1042"),
            _PLAN,
            _text("options", "Options choisies, s’il y en a", "Serrurerie"),
            _text("logement", "Logement couvert", "3 rue du Port, 59000 Lille"),
            _money("montant", "Montant par échéance, taxe comprise", "14,06 €"),
            _text("rythme", "Rythme des échéances", "par mois"),
            _date("prise_effet", "Prise d’effet"),
            _date("carence_jusqu_au", "Dernier jour de la carence, s’il y en a une", "3 janvier 2027"),
            _date("renonciation_jusqu_au", "Dernier jour pour renoncer", "19 décembre 2026"),
            _text("signee_le", "Moment de la signature", "05/12/2026 à 10:12"),
            _text("maniere", "Comment elle a été signée", "par le lien reçu par e-mail"),
            _text("accord", "Ce que le client a accepté, mot pour mot", "En cliquant sur « J’accepte », je souscris…"),
            _number("version_texte", "Version de ce texte", "1"),
            _table(
                "documents",
                "Documents remis",
                _text("intitule", "Document", "Conditions générales"),
                _text("edition", "Édition", "2026-03"),
            ),
        ),
        must_arrive=True,
        is_asked_for=True,
    ),
    Kind(
        MessageKind.COVER_OPEN,
        "Garantie ouverte",
        "Couvertures",
        "Le premier jour après une carence",
        (
            *_COVER,
            _text("garantie", "Ce dont la carence est finie\u202f: la formule ou une option", "Serrurerie"),
            _text("metiers", "Métiers couverts", "Plomberie, Serrurerie"),
            _date("depuis", "Premier jour couvert", "9 février 2027"),
        ),
    ),
    Kind(
        MessageKind.COVER_RENEWED,
        "Nouvelle année de couverture",
        "Couvertures",
        "Le premier jour d’une nouvelle année de couverture",
        (
            *_COVER,
            _date("depuis", "Premier jour de l’année", "10 janvier 2027"),
            _text("utilise", "Ce qui a été utilisé l’année passée", "2 interventions, 870 €"),
            _text("promis", "Ce qui est promis pour l’année", "3 interventions, 1 200 €"),
        ),
    ),
    Kind(
        MessageKind.COVER_SUSPENDED,
        "Couverture suspendue",
        "Couvertures",
        "Quand une couverture est suspendue, par une pause ou un impayé",
        (
            *_COVER,
            _text("depuis", "Moment de la suspension", "20/11/2026 à 12:00"),
            _text("reprise", "Quand elle reprend, en une phrase", "Elle reprend le 5 février 2027."),
        ),
    ),
    Kind(
        MessageKind.COVER_RESUMED,
        "Couverture reprise",
        "Couvertures",
        "Quand une couverture suspendue reprend",
        (
            *_COVER,
            _text("depuis", "Moment de la reprise", "21/11/2026 à 12:00"),
            _date("prochaine_echeance", "Prochaine échéance"),
        ),
    ),
    Kind(
        MessageKind.COVER_MOVED,
        "Changement de logement couvert",
        "Couvertures",
        "Quand une couverture change de logement, avec le prix à cette adresse",
        (
            *_COVER,
            _text("logement", "Logement couvert", "8 quai des Brumes, 76600 Le Havre"),
            _date("depuis", "Premier jour couvert à cette adresse", "4 décembre 2026"),
            _money("prix", "Prix de la formule par mois, taxe comprise, s’il change", "19,62 €"),
            _date("prix_depuis", "Premier jour de ce prix", "4 décembre 2026"),
            _text("accord", "Que le client a accepté ce prix, s’il est plus élevé", "oui"),
        ),
    ),
    Kind(
        MessageKind.COVER_TERMINATED,
        "Confirmation de résiliation",
        "Couvertures",
        "Quand la résiliation d’une couverture est enregistrée",
        (
            *_TERMINATION,
            _text("explication", "D’où vient cette date", "Déménagement le 15/11/2026 : un mois après la réception."),
            _text("remboursement", "Ce qui est à rembourser, s’il y a lieu", "12,40 €"),
        ),
        (EMAIL, LETTER),
        must_arrive=True,
    ),
    Kind(
        MessageKind.COVER_KEPT,
        "Résiliation retirée",
        "Couvertures",
        "Quand la résiliation d’une couverture est retirée avant sa date",
        (*_TERMINATION, _text("explication", "D’où venait cette date", "Un mois après la réception.")),
        (EMAIL, LETTER),
    ),
    Kind(
        MessageKind.COVER_RENOUNCED,
        "Confirmation de renonciation",
        "Couvertures",
        "Quand la renonciation du client à une couverture est enregistrée",
        (
            *_COVER,
            _date("date_fin", "Premier jour sans couverture", "21 décembre 2026"),
            _text(
                "explication",
                "Ce qui est remboursé, en une phrase",
                "Tout ce que vous avez payé vous est remboursé.",
            ),
            _money("remboursement", "Ce qui est à rembourser, s’il y a lieu", "14,06 €"),
        ),
        (EMAIL, LETTER),
        must_arrive=True,
    ),
    Kind(
        MessageKind.FREE,
        "Message libre",
        "Écrits par vous",
        "Quand un collègue écrit au client au sujet de son dossier",
    ),
    Kind(
        MessageKind.SATISFACTION,
        "Satisfaction",
        "Écrits par vous",
        "Quand un collègue demande l’avis du client",
        purposes={EMAIL: ConsentPurpose.SATISFACTION, SMS: ConsentPurpose.SATISFACTION},
    ),
    Kind(
        MessageKind.PROSPECTION,
        "Prospection",
        "Écrits par vous",
        "Quand un collègue propose une offre",
        purposes={EMAIL: ConsentPurpose.PROSPECTION_EMAIL, SMS: ConsentPurpose.PROSPECTION_SMS},
    ),
    Kind(
        MessageKind.WEEKLY_DIGEST,
        "Bilan de la semaine",
        "Équipe",
        "Chaque lundi à 7 heures, aux responsables d’équipe",
        (
            _date("debut", "Premier jour", "23 novembre 2026"),
            _date("fin", "Dernier jour", "29 novembre 2026"),
            _number("nouveaux_clients", "Nouveaux clients"),
            _number("nouveaux_abonnements", "Nouveaux abonnements", "7"),
            _number("abonnements_perdus", "Abonnements perdus", "1"),
            _money("encaisse", "Encaissé", "4 310,20 €"),
            _money("impaye", "Impayé", "184,20 €"),
            _table(
                "commerciaux",
                "Commercial par commercial",
                _text("nom", "Commercial", "Nora Petit"),
                _number("nouveaux_clients", "Nouveaux clients", "4"),
                _number("nouveaux_abonnements", "Nouveaux abonnements", "3"),
                _money("encaisse", "Encaissé", "1 220,00 €"),
            ),
            _number("dossiers_sans_nouvelle", "Dossiers ouverts sans nouvelle depuis 7 jours", "2"),
            _number("provisions_a_revoir", "Dossiers dont la provision est à revoir", "3"),
            _text("lien_dossiers", "Lien vers les dossiers", "https://crm.example/dossiers"),
            _text("lien", "Lien vers les chiffres", "https://crm.example/commerciaux"),
        ),
        is_for_clients=False,
    ),
)

KINDS: dict[MessageKind, Kind] = {kind.code: kind for kind in _ALL}
OF_CASES = frozenset(kind.code for kind in _ALL if kind.group == "Relances")
"""What dunning writes about its cases: its letters are printed and posted there, where the cases follow."""
