"""All messages, and those that wait for somebody. For managers."""

from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from webapp import clock, french
from webapp.models.identity import Role
from webapp.models.messages import AWAITS_PERSON, Channel, HeldReason, MessageKind, MessageStatus
from webapp.security import current_user, requires
from webapp.services.messages import deciding, listing
from webapp.services.messages.deciding import Released
from webapp.services.messages.kinds import KINDS
from webapp.services.messages.listing import MessagesView
from webapp.views.layout import is_fragment_request, list_part, toast
from webapp.views.lists import read, read_client
from webapp.views.rate_limits import paced

bp = Blueprint("messages", __name__, url_prefix="/messages")

for_managers = requires(Role.MANAGER, Role.ADMIN)


@bp.app_template_filter("message_name")
def message_name(kind: MessageKind) -> str:
    """What people call messages of that kind."""
    return KINDS[kind].label


@bp.get("")
@for_managers
@paced
def index() -> ResponseReturnValue:
    """The messages, as the address says."""
    view = read_view()
    page = listing.list_messages(view)
    values: dict[str, Any] = {
        "view": view,
        "messages": page.rows,
        "kinds": KINDS,
        "statuses": list(MessageStatus),
        "awaiting": AWAITS_PERSON,
        "counts": listing.count_awaiting(),
        "first_page": _address(view, avant=None) if view.before else None,
        "next_page": _address(view, avant=page.next_before) if page.next_before else None,
        "address_of": lambda status: _address(view, etat=status, avant=None),
        "with_client": True,
    }
    if not is_fragment_request():
        return render_template(
            "messages/index.html",
            **values,
            held=listing.count_held(),
            may_set_up=current_user().has_role(Role.ADMIN),
            letters=sum(listing.count_letters().values()),
            kind_choices=[("", "Tous les genres"), *((kind.code.value, kind.label) for kind in KINDS.values())],
            channel_choices=[("", "Tous les moyens"), *((channel.value, channel.label) for channel in Channel)],
        )
    return list_part("messages", render_template("messages/_list.html", **values), address=_address(view, avant=None))


def read_view() -> MessagesView:
    """The view that the address asks for. What cannot be read in it is ignored."""
    return MessagesView(
        search=" ".join(request.args.get("q", "").split()),
        status=read(MessageStatus, request.args.get("etat")),
        kind=read(MessageKind, request.args.get("genre")),
        channel=read(Channel, request.args.get("canal")),
        client_id=read_client(request.args.get("client")),
        before=read(UUID, request.args.get("avant")),
    )


def _address(view: MessagesView, **changes: Any) -> str:
    query: dict[str, Any] = {
        "q": view.search,
        "etat": view.status,
        "genre": view.kind,
        "canal": view.channel,
        "client": view.client_id,
        "avant": view.before,
    } | changes
    return url_for("messages.index", **{name: value for name, value in query.items() if value})


@bp.post("/reprise")
@for_managers
def release() -> ResponseReturnValue:
    """Take up what was held for a reason that may be gone."""
    reason = read(HeldReason, request.form.get("motif"))
    if reason is not None:
        taken_up = deciding.release_held(reason, by=current_user(), at=clock.now())
        toast("success" if taken_up.released or taken_up.goes_on else "info", _said(taken_up))
    return redirect(url_for("messages.index", etat=MessageStatus.HELD.value), 303)


def _said(taken_up: Released) -> str:
    released, held = taken_up.released, taken_up.looked_at - taken_up.released
    said = f"{french.counted(released, 'message repris', 'messages repris')}" if released else "Aucun message repris"
    said += f"\u202f; {french.counted(held, 'reste retenu', 'restent retenus')}." if held else "."
    return f"{said} Les suivants sont regardés en ce moment." if taken_up.goes_on else said
