"""What may be done with a claim file: by its state, and by who looks at it."""

from datetime import datetime
from enum import StrEnum

from webapp.models.claims import REOPENED_WITHIN, Claim, ClaimStatus
from webapp.models.identity import Role, User
from webapp.services.claims.money import PAYING


class ClaimAction(StrEnum):
    """What a person does with a file."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    CONFIRM = "confirm"
    CONTEST = "contest"
    CORRECT = "correct"
    START = "start"
    CLOSE = "close"
    REOPEN = "reopen"
    PAID = "paid"
    RECOVERED = "recovered"
    RESERVE = "reserve"
    CANCEL = "cancel"

    @property
    def label(self) -> str:
        """The words on the screen."""
        return {
            "accept": "Accepter",
            "refuse": "Refuser",
            "confirm": "Confirmer la décision",
            "contest": "Faire revoir",
            "correct": "Corriger le montant",
            "start": "Commencer",
            "close": "Clore",
            "reopen": "Rouvrir",
            "paid": "Noter un paiement",
            "recovered": "Noter une récupération",
            "reserve": "Revoir la provision",
            "cancel": "Annuler",
        }[self.value]


MANAGED = frozenset(
    {
        ClaimAction.ACCEPT,
        ClaimAction.REFUSE,
        ClaimAction.CONFIRM,
        ClaimAction.PAID,
        ClaimAction.RECOVERED,
        ClaimAction.RESERVE,
    }
)
"""What is decided otherwise than by the rules, and money, are of managers and admins."""
_BECOMES = {
    ClaimAction.CONTEST: ClaimStatus.TO_REVIEW,
    ClaimAction.START: ClaimStatus.IN_PROGRESS,
    ClaimAction.CLOSE: ClaimStatus.CLOSED,
    ClaimAction.CANCEL: ClaimStatus.CANCELED,
}


def may(action: ClaimAction, by: User) -> bool:
    """Whether the role of a user allows it."""
    return action not in MANAGED or by.has_role(Role.MANAGER, Role.ADMIN)


def actions_of(claim: Claim, *, by: User, at: datetime) -> list[ClaimAction]:
    """What a user may do with the file as it stands."""
    return [action for action in ClaimAction if may(action, by) and _is_possible(action, claim, at)]


def _is_possible(action: ClaimAction, claim: Claim, at: datetime) -> bool:
    status = claim.status
    if action in (ClaimAction.ACCEPT, ClaimAction.REFUSE):
        return status in (ClaimStatus.DECLARED, ClaimStatus.TO_REVIEW)
    if action is ClaimAction.CONFIRM:
        return claim.doubt is not None
    if action in (ClaimAction.CORRECT, ClaimAction.RESERVE):
        return status.is_open
    if action is ClaimAction.REOPEN:
        return status is ClaimStatus.CLOSED and claim.closed_at is not None and at - claim.closed_at <= REOPENED_WITHIN
    if action in (ClaimAction.PAID, ClaimAction.RECOVERED):
        return status in PAYING
    becomes = _BECOMES[action]
    is_begun = becomes is ClaimStatus.IN_PROGRESS and status is ClaimStatus.CLOSED  # which is « Rouvrir »
    is_declared = action is ClaimAction.CONTEST and status is ClaimStatus.DECLARED
    return claim.can_become(becomes) and not is_begun and not is_declared
