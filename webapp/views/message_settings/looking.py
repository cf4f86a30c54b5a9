"""An e-mail as a page: alone in its window, or in a frame of ours. It runs nothing and fetches nothing."""

from typing import Literal

from flask import Response

from webapp.services.messages.emails import EmailParts
from webapp.services.messages.frames import Logo
from webapp.services.messages.printing import data_address

Theme = Literal["clair", "sombre"]
DARK = "@media (prefers-color-scheme: dark)"
POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


def email_page(email: EmailParts, *, theme: Theme | None = None) -> Response:
    """The HTML of an e-mail, in the reader's own colours or in those of ``theme``."""
    html = email.html
    for image in email.inline:
        html = html.replace(f"cid:{image.cid}", data_address(Logo(image.content_type, image.content, 0, 0)))
    if theme is not None:
        html = html.replace(DARK, "@media all" if theme == "sombre" else "@media not all")
    headers = {"Content-Security-Policy": POLICY, "X-Frame-Options": "SAMEORIGIN"}
    return Response(html, mimetype="text/html", headers=headers)
