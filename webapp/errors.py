"""Refusals: a rule of the business said no, in a sentence that the user may read."""

from uuid import UUID


class DomainError(Exception):
    """A refusal. ``message`` is French and fit for the user; ``status`` is the HTTP status of the answer.

    ``field`` names the form field at fault, where there is one, so that the sentence stands beside it.
    """

    status = 409

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class NotFoundError(DomainError):
    """No such row in this organisation; a row of another organisation looks just the same."""

    status = 404

    def __init__(self, message: str = "Cette page n’existe pas ou plus.", *, field: str | None = None) -> None:
        super().__init__(message, field=field)


class ForbiddenError(DomainError):
    """The user is known and lacks the right."""

    status = 403


class InvalidInputError(DomainError):
    """What the user typed cannot be taken as it is."""

    status = 422


class TooManyRequestsError(DomainError):
    """The same action was asked for too often; it is welcome again later."""

    status = 429


class UnavailableError(DomainError):
    """Something outside (provider, identity server) does not answer; trying later makes sense."""

    status = 503


class MergedError(DomainError):
    """The client was merged into another one, ``kept_id``: what is asked of it is to be asked of that one."""

    def __init__(self, kept_id: UUID) -> None:
        super().__init__("Cette fiche a été fusionnée dans une autre\u202f: rien n’y est plus enregistré.")
        self.kept_id = kept_id
