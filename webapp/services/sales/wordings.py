"""The words that a client accepts, version by version. One that somebody has accepted never changes: add the next."""

from typing import NamedTuple


class Wording(NamedTuple):
    """What stands above the button « J’accepte »; ``at_once`` is added where the cover begins without waiting."""

    version: int
    text: str
    at_once: str


WORDINGS = (
    Wording(
        1,
        "En cliquant sur «\u00a0J’accepte\u00a0», je souscris la couverture décrite ci-dessus, avec obligation de "
        "paiement. Je reconnais avoir reçu et pu lire, avant de m’engager, la fiche d’information et les conditions "
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
