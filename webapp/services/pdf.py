"""From HTML to PDF, by WeasyPrint. The library is loaded at the first page: it takes a second, and wants Pango."""

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from webapp.errors import UnavailableError


class PrintingUnavailableError(UnavailableError):
    """The libraries that draw text are not installed on this server."""


def templates(folder: Path, **filters: Callable[..., Any]) -> Environment:
    """The templates of printed pages in that folder, with these filters; a name that is missing is an error."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment


@cache
def printer(style_sheet: Path) -> Callable[[str], bytes]:
    """What turns HTML into a PDF in the style of that file. Raises PrintingUnavailableError."""
    try:
        from weasyprint import CSS, HTML  # noqa: PLC0415
        from weasyprint.text.fonts import FontConfiguration  # noqa: PLC0415
        from weasyprint.urls import URLFetcher  # noqa: PLC0415
    except OSError as error:
        raise PrintingUnavailableError(
            "Les documents ne peuvent pas être imprimés sur ce serveur\u202f: la bibliothèque Pango n’y est pas "
            "installée. Prévenez votre administrateur."
        ) from error
    for library in ("weasyprint", "weasyprint.progress", "fontTools"):  # they tell every step
        logging.getLogger(library).setLevel(logging.WARNING)
    fonts = FontConfiguration()
    style = CSS(string=style_sheet.read_text(encoding="utf-8"), font_config=fonts)

    def to_pdf(html: str) -> bytes:
        # Nothing is fetched: whatever a name or a label holds, it reaches neither files nor the network.
        # Images stand in the page itself.
        page = HTML(string=html, url_fetcher=URLFetcher(allowed_protocols=["data"]))
        pdf: bytes = page.write_pdf(stylesheets=[style], font_config=fonts)
        return pdf

    return to_pdf
