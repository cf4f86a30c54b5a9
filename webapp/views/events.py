"""What the pages of events from outside have in common: states to choose from, and what whoever acts on one is told."""

from webapp.french import counted
from webapp.models.events import EventState
from webapp.views.layout import toast

STATES = [("", "Tous les états"), *((each.value, each.label) for each in EventState)]


def say_retried() -> None:
    """One is tried again."""
    toast("success", "Nouvel essai demandé\u202f: il a lieu dans un instant.")


def say_all_retried(number: int) -> None:
    """So many are tried again."""
    if number:
        asked = counted(number, "nouvel essai demandé", "nouveaux essais demandés")
        toast("success", f"{asked}\u202f: ils ont lieu dans un instant.")
    else:
        toast("info", "Rien n’est en échec ni en attente ici\u202f: rien n’a été réessayé.")


def say_closed() -> None:
    """A person has seen to it."""
    toast("success", "Événement classé\u202f: il n’est plus réessayé.")
