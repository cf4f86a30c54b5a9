"""A filled text as an e-mail: HTML in its company's frame, with every style on its element, and plain text."""

import re
from functools import cache, lru_cache
from html import escape
from pathlib import Path
from typing import NamedTuple

from css_inline import CSSInliner
from jinja2 import Environment
from markupsafe import Markup

from webapp.gateways.messaging.protocol import InlineImage
from webapp.services import pdf
from webapp.services.messages.frames import Frame
from webapp.services.messages.markdown import to_html_and_plain_text
from webapp.services.messages.syntax import Text

FOLDER = Path(__file__).parent / "print"
LOGO_CID = "logo@messages.invalid"
SUBJECT_HERE, BODY_HERE, ADDRESS_HERE = "objet-ici", "corps-ici", "adresse-ici"
_IN_PAGE = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
_IN_BODY = CSSInliner(load_remote_stylesheets=False)


class EmailParts(NamedTuple):
    """What an e-mail is made of: plain text, HTML, and the images that the HTML names by their cid."""

    text: str
    html: str
    inline: tuple[InlineImage, ...]


def to_email(filled: Text, frame: Frame, *, unsubscribe_url: str | None = None) -> EmailParts:
    """The parts of an e-mail; with ``unsubscribe_url`` its foot says how to stop them."""
    page = _page(frame, has_unsubscribe=unsubscribe_url is not None)
    html, text = to_html_and_plain_text(filled.body)
    body = _IN_BODY.inline_fragment(html, _style("email_body.css", frame.colour))
    pieces = {SUBJECT_HERE: escape(filled.subject), BODY_HERE: body, ADDRESS_HERE: escape(unsubscribe_url or "")}
    logo = frame.logo
    images = (InlineImage(LOGO_CID, logo.content_type, logo.content),) if logo else ()
    return EmailParts(
        text=text + _plain_foot(frame, unsubscribe_url),
        html="".join(pieces.get(piece, piece) for piece in page),
        inline=images,
    )


@lru_cache(maxsize=256)
def _page(frame: Frame, *, has_unsubscribe: bool) -> tuple[str, ...]:
    """The HTML around the body in pieces, between them the names of what differs from one e-mail to the next."""
    html = (
        _templates()
        .get_template("email.html")
        .render(
            frame=frame,
            style=Markup(_style("email.css", frame.colour)),  # noqa: S704  our own file
            cid=LOGO_CID,
            subject=SUBJECT_HERE,
            body=BODY_HERE,
            unsubscribe_url=ADDRESS_HERE if has_unsubscribe else None,
        )
    )
    places = re.compile(f"({SUBJECT_HERE}|{BODY_HERE}|{ADDRESS_HERE})")
    return tuple(places.split(_IN_PAGE.inline(html)))


@cache
def _style(name: str, colour: str) -> str:
    return _templates().get_template(name).render(colour=colour)


@cache
def _templates() -> Environment:
    return pdf.templates(FOLDER)


def _plain_foot(frame: Frame, unsubscribe_url: str | None) -> str:
    """Below « -- », which mail programs know as the beginning of a signature."""
    lines = [frame.name, *frame.address, frame.contact, frame.legal_line, *frame.footer]
    lines += [f"Ne plus recevoir ces messages\u202f: {unsubscribe_url}"] if unsubscribe_url else []
    return "\n".join(["", "-- ", *(line for line in lines if line)]) + "\n"
