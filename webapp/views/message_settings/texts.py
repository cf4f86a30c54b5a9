"""The kinds of messages with their texts: versions, a preview while one writes, and which company writes them."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import DomainError, InvalidInputError, NotFoundError
from webapp.extensions import limiter
from webapp.models.identity import Role
from webapp.models.messages import Channel
from webapp.security import current_user, requires
from webapp.services.messages import rendering, switches, templates, trying
from webapp.services.messages.kinds import KINDS, Variable
from webapp.services.messages.rendering import Text, WrongTextError
from webapp.services.messages.templates import NewerTextError
from webapp.services.messages.texts import channels_of
from webapp.services.messages.trials import SwitchedOffError
from webapp.services.messages.trying import Trial
from webapp.services.organisations import list_companies
from webapp.services.search import Hit, search_everywhere
from webapp.views.layout import is_fragment_request, toast
from webapp.views.lists import IMPOSSIBLE_DAY, has_impossible_day, read, read_day
from webapp.views.message_settings.looking import email_page
from webapp.views.message_settings.places import Place, read_kind, read_place, seen_version, tell_saved, versions_of

bp = Blueprint("message_texts", __name__, url_prefix="/reglages/messages")

PACE = "10 per minute"
"""Trials that somebody sends to themselves."""

for_admins = requires(Role.ADMIN)


@bp.get("")
@for_admins
def index() -> ResponseReturnValue:
    """Every kind, by group: its channels with the versions in use, and which companies write it."""
    companies = list_companies()
    return render_template(
        "message_settings/index.html",
        kinds=KINDS.values(),
        companies=companies,
        channels_of=channels_of,
        in_use=templates.list_in_use(at=clock.now()),
        off=switches.load_switched_off([company.id for company in companies]),
        why_always_on=switches.why_always_on,
    )


@bp.post("/textes/<word>/envoi")
@for_admins
def switch(word: str) -> ResponseReturnValue:
    """Write a kind for a company (``envoi`` 1), or no more of it (0)."""
    kind, company_id = read_kind(word), read(UUID, request.form.get("societe"))
    if company_id is None:
        raise NotFoundError
    if request.form.get("envoi") == "1":
        switches.switch_on(kind.code, company_id)
        toast("success", f"{kind.label}\u202f: de nouveau envoyé.")
    else:
        switches.switch_off(kind.code, company_id, at=clock.now())
        toast("success", f"{kind.label}\u202f: ne part plus.")
    return redirect(url_for("message_texts.index"), 303)


@bp.get("/textes/<word>")
@for_admins
def show(word: str) -> ResponseReturnValue:
    """A text with its versions, and the form of a new one."""
    return _page(read_place(word, request.args))


@bp.post("/textes/<word>")
@for_admins
def save(word: str) -> ResponseReturnValue:
    """Save a version; where that is refused, the page with what was written, and the reason."""
    place = read_place(word, request.form)
    try:
        saved = templates.save(
            place.kind.code,
            place.channel,
            place.company_id,
            _written(),
            seen_version=seen_version(),
            active_on=_read_day(),
            by=current_user(),
            at=clock.now(),
        )
    except (InvalidInputError, NewerTextError) as error:
        return _page(place, error), error.status
    tell_saved(saved.version if saved else None)
    return redirect(place.address, 303)


@bp.post("/textes/<word>/apercu")
@for_admins
def preview(word: str) -> ResponseReturnValue:
    """What was written as a client would read it; without script, on the whole page."""
    place = read_place(word, request.form)
    if not is_fragment_request():
        return _page(place, written=request.form)
    return render_template("message_settings/_preview.html", **_look(place, _written()))


@bp.post("/textes/<word>/email")
@for_admins
def look(word: str) -> ResponseReturnValue:
    """What was written as an e-mail in its frame, as a page of its own."""
    place = read_place(word, request.form)
    try:
        return email_page(trying.to_trial_email(_trial(place, _written(), _find_client())))
    except WrongTextError as error:
        return _page(place, error), error.status


@bp.post("/textes/<word>/essai")
@for_admins
@limiter.limit(PACE, key_func=lambda: f"user:{g.user.id}")
def send_trial(word: str) -> ResponseReturnValue:
    """Send what was written to oneself; it stays in the form, saved or not."""
    place = read_place(word, request.form)
    if place.channel is not Channel.EMAIL:
        raise NotFoundError
    try:
        message = trying.send_trial(_trial(place, _written(), _find_client()), by=current_user(), at=clock.now())
    except (WrongTextError, SwitchedOffError) as error:
        return _page(place, error), error.status
    if message.held_reason:
        toast("warning", f"Essai retenu\u202f: {message.held_reason.label}")
    else:
        toast("success", f"Essai en route vers {current_user().email}.")
    return _page(place, written=request.form)


def _written() -> Text:
    return Text(request.form.get("objet", ""), request.form.get("texte", ""))


def _read_day() -> date | None:
    """Raises InvalidInputError."""
    if has_impossible_day(request.form.get("date")):
        raise InvalidInputError(IMPOSSIBLE_DAY, field="active_on")
    return read_day(request.form.get("date"))


def _trial(place: Place, text: Text, client: Hit | None) -> Trial:
    company = place.company or place.companies[0]
    client_id = client.id if client else None
    return Trial(kind=place.kind.code, channel=place.channel, company_id=company.id, client_id=client_id, text=text)


def _find_client() -> Hit | None:
    """The first whom the form's search finds."""
    searched = request.form.get("client", "").strip()
    hits = search_everywhere(searched).clients if searched else ()
    return hits[0] if hits else None


def _look(place: Place, text: Text) -> dict[str, Any]:
    """What the preview shows: with the data of a client who was searched for, or examples."""
    client = _find_client()
    shown = {
        "client": client,
        "searched": request.form.get("client", "").strip(),
        "is_for_clients": place.kind.is_for_clients,
    }
    try:
        filled = trying.fill_trial(_trial(place, text, client))
    except WrongTextError as error:
        return shown | {"fault": error, "faulty_line": _faulty_line(error, text)}
    is_sms = place.channel is Channel.SMS
    return shown | {
        "fault": None,
        "text": filled,
        "size": rendering.measure_sms(filled.body) if is_sms else None,
        "html": None if is_sms else rendering.to_html(filled.body),
    }


def _faulty_line(error: WrongTextError, text: Text) -> str:
    """What stands in the line at fault."""
    written = rendering.cleaned(*text)
    lines = [written.subject] if error.field == "subject" else written.body.split("\n")
    return lines[error.line - 1] if error.line and error.line <= len(lines) else ""


def _page(place: Place, problem: DomainError | None = None, *, written: Mapping[str, str] | None = None) -> str:
    """The text's page; with ``problem`` or ``written``, what was sent stands in the form again."""
    versions = versions_of(place)
    newest = versions.newest_text or templates.text_of(versions_of(place._replace(company=None)).versions[0])
    values = request.form if problem else written or {"objet": newest.subject, "texte": newest.body}
    text = Text(values.get("objet", ""), values.get("texte", ""))
    return render_template(
        "message_settings/kind.html",
        place=place,
        channels=[(channel.value, channel.label) for channel in channels_of(place.kind.code)],
        versions=versions,
        problem=problem,
        written=values,
        written_as=_written_as,
        condition="{% if prenom %} … {% endif %}"
        if place.kind.is_for_clients
        else "{% if commerciaux %} … {% endif %}",
        longest=rendering.LONGEST_BODY[place.channel],
        now=clock.now(),
        today=clock.today(),
        **_look(place, text),
    )


def _written_as(variable: Variable) -> list[str]:
    """How a text says it, line by line."""
    if not variable.columns:
        return [f"{{{{ {variable.name} }}}}"]
    columns = [f"{{{{ ligne.{column.name} }}}}" for column in variable.columns]
    return [f"{{% for ligne in {variable.name} %}}", *columns, "{% endfor %}"]
