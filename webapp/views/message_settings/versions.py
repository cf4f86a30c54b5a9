"""The versions of a text: beside the one in use, taken up again, or given up for the text of all."""

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError, NotFoundError
from webapp.models.identity import Role
from webapp.models.messages import MessageTemplate
from webapp.security import current_user, requires
from webapp.services.messages import templates
from webapp.services.messages.rendering import Text
from webapp.services.messages.templates import NewerTextError
from webapp.views.layout import toast
from webapp.views.message_settings.places import Place, read_place, seen_version, tell_saved, versions_of

bp = Blueprint("message_versions", __name__, url_prefix="/reglages/messages/textes/<word>")

for_admins = requires(Role.ADMIN)


@bp.get("/versions/<int(max=99999):version>")
@for_admins
def compare(word: str, version: int) -> ResponseReturnValue:
    """A version beside the one in use, line by line."""
    place = read_place(word, request.args)
    found, versions = _find_version(place, version), versions_of(place)
    follows_all = versions.present is not None and versions.present.follows_all
    return render_template(
        "message_settings/version.html",
        place=place,
        version=found,
        present=versions.present,
        follows_all=follows_all,
        lines=templates.diff(templates.text_of(found), _text_in_use(place) or templates.text_of(found)),
        latest=versions.latest,
    )


def _text_in_use(place: Place) -> Text | None:
    """What is sent now: where the company follows the text of all, that one."""
    present = versions_of(place).present
    if present is not None and present.follows_all:
        present = versions_of(place._replace(company=None)).present
    return templates.text_of(present) if present else None


@bp.post("/versions/<int(max=99999):version>/reprise")
@for_admins
def take_up(word: str, version: int) -> ResponseReturnValue:
    """Save the text of an older version as a new one."""
    place = read_place(word, request.form)
    text = templates.text_of(_find_version(place, version))
    try:
        saved = templates.save(
            place.kind.code,
            place.channel,
            place.company_id,
            text,
            seen_version=seen_version(),
            by=current_user(),
            at=clock.now(),
        )
    except (InvalidInputError, NewerTextError) as error:
        toast("error", error.message)
    else:
        tell_saved(saved.version if saved else None)
    return redirect(place.address, 303)


@bp.post("/commun")
@for_admins
def follow_all(word: str) -> ResponseReturnValue:
    """Have the company use the text of all companies again."""
    place = read_place(word, request.form)
    if place.company_id is None:
        raise NotFoundError
    try:
        saved = templates.follow_all(
            place.kind.code,
            place.channel,
            place.company_id,
            seen_version=seen_version(),
            by=current_user(),
            at=clock.now(),
        )
    except NewerTextError as error:
        toast("error", error.message)
    else:
        tell_saved(saved.version if saved else None)
    return redirect(place.address, 303)


def _find_version(place: Place, version: int) -> MessageTemplate:
    """One that has words. Raises NotFoundError."""
    found = templates.find_version(place.kind.code, place.channel, place.company_id, version)
    if found.follows_all:
        raise NotFoundError
    return found
