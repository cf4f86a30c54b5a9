"""« Présentation »: what stands around the e-mails and letters of each company, with a preview while one changes it."""

from dataclasses import replace
from uuid import UUID

from flask import Blueprint, Response, current_app, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.models.identity import Role
from webapp.models.messages import Channel, MessageKind
from webapp.security import content_security_policy, requires
from webapp.services.messages import frames
from webapp.services.messages.frames import Frame
from webapp.services.messages.kinds import KINDS
from webapp.services.messages.rendering import example_variables, fill, to_email
from webapp.services.messages.texts import SHIPPED
from webapp.services.organisations import list_companies
from webapp.views.layout import toast
from webapp.views.message_settings.looking import email_page

bp = Blueprint("message_frames", __name__, url_prefix="/reglages/messages/presentation")

for_admins = requires(Role.ADMIN)
SHOWN = MessageKind.SEPA_NOTICE
"""The kind whose e-mail is the preview."""


@bp.get("")
@for_admins
def index() -> ResponseReturnValue:
    """The companies; of a single one, its page at once."""
    companies = list_companies()
    if len(companies) == 1:
        return redirect(url_for("message_frames.edit", company_id=companies[0].id), 303)
    return render_template("message_settings/frames.html", companies=companies)


@bp.route("/<uuid:company_id>", methods=["GET", "POST"])
@for_admins
def edit(company_id: UUID) -> ResponseReturnValue:
    """The form of a company's frame; its change."""
    frame = frames.find_frame(company_id)
    if request.method == "GET":
        return _page(frame)
    upload = request.files.get("logo")
    try:
        frames.save_frame(
            company_id,
            colour=request.form.get("couleur", ""),
            footer=request.form.get("pied", ""),
            logo=upload.stream.read(frames.LARGEST_LOGO + 1) if upload and upload.filename else None,
            removes_logo="sans_logo" in request.form,
            at=clock.now(),
        )
    except InvalidInputError as error:
        return _page(frame, error), error.status
    toast("success", f"Présentation de {frame.name} enregistrée.")
    return redirect(url_for("message_frames.edit", company_id=company_id), 303)


@bp.get("/<uuid:company_id>/apercu")
@for_admins
def preview(company_id: UUID) -> ResponseReturnValue:
    """The two previews with what the form says now, or what is wrong with it."""
    try:
        _as_written(frames.find_frame(company_id))
    except InvalidInputError as error:
        return render_template("message_settings/_looks.html", company_id=company_id, problem=error, shown={})
    shown = {"couleur": request.args.get("couleur", ""), "pied": request.args.get("pied", "")}
    return render_template("message_settings/_looks.html", company_id=company_id, problem=None, shown=shown)


@bp.get("/<uuid:company_id>/email/<any(clair, sombre):theme>")
@for_admins
def look(company_id: UUID, theme: str) -> ResponseReturnValue:
    """An e-mail in the company's frame as the address says it (``couleur``, ``pied``), or as it is saved."""
    frame = _as_written(frames.find_frame(company_id))
    kind = KINDS[SHOWN]
    values = {"societe": frame.name, "societe_telephone": frame.phone, "societe_email": frame.email}
    filled = fill(kind, Channel.EMAIL, SHIPPED[SHOWN, Channel.EMAIL], example_variables(kind) | values)
    return email_page(to_email(filled, frame), theme="sombre" if theme == "sombre" else "clair")


def _as_written(frame: Frame) -> Frame:
    """Raises InvalidInputError."""
    if "couleur" in request.args:
        frame = replace(frame, colour=frames.checked_colour(request.args["couleur"]))
    if "pied" in request.args:
        frame = replace(frame, footer=frames.checked_footer(request.args["pied"]))
    return frame


def _page(frame: Frame, problem: InvalidInputError | None = None) -> Response:
    """The page may show frames of ours, as no other may."""
    response = make_response(
        render_template(
            "message_settings/frame.html",
            frame=frame,
            companies=list_companies(),
            problem=problem,
            written=request.form if problem else {"couleur": frame.colour, "pied": "\n".join(frame.footer)},
            limits=frames,
        )
    )
    policy = content_security_policy(current_app.extensions["settings"])
    response.headers["Content-Security-Policy"] = f"{policy}; frame-src 'self'"
    return response
