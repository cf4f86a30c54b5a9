"""The words that a client accepts, version by version. One that somebody has accepted never changes: add the next."""

from typing import NamedTuple

from webapp.models.sales import SignatureWay


class Wording(NamedTuple):
    """What a client agrees to: by the button « J’accepte », or, from ``on_paper``, by the signed form.

    ``at_once`` is added where the cover begins without waiting.
    """

    version: int
    by_link: str
    on_paper: str
    terms: str
    at_once: str

    @property
    def text(self) -> str:
        """What stands above the button."""
        return f"{self.by_link} {self.terms}"

    def words_for(self, way: SignatureWay | None) -> str:
        """The same as it was signed."""
        return f"{self.on_paper} {self.terms}" if way is SignatureWay.PAPER else self.text


WORDINGS = (
    Wording(
        1,
        "En cliquant sur «\u00a0J’accepte\u00a0», je souscris la couverture décrite ci-dessus, avec obligation de "
        "paiement.",
        "En signant le bulletin, je souscris la couverture décrite ci-dessus, avec obligation de paiement.",
        "Je reconnais avoir reçu et pu lire, avant de m’engager, la fiche d’information et les conditions "
        "générales. Je peux renoncer sans motif ni frais pendant quatorze jours.",
        "Je demande l’exécution immédiate\u202f: la couverture commence avant la fin du délai de renonciation. Si je "
        "renonce après un sinistre pris en charge, je paie les jours écoulés.",
    ),
)
WORDING = WORDINGS[-1]
"""The words in use."""


def find_wording(version: int | None) -> Wording:
    """The words of a version; those in use where none is named."""
    return next((each for each in WORDINGS if each.version == version), WORDING)
