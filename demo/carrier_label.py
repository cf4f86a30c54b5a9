"""The labels of the pretend carrier, drawn by pydyf: WeasyPrint, which stands on it, would take 50 ms for each."""

import io
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pydyf

MILLIMETRE: Final = 72 / 25.4
SIZES: Final = {"10x15": (100, 150), "a4": (210, 297)}
"""Width and height in millimetres."""


def draw_label(number: str, asked: Mapping[str, Any]) -> bytes:
    """The PDF of a label: equal bytes for equal content."""
    width, height = SIZES.get(str(asked.get("label_format")), SIZES["10x15"])
    pdf = pydyf.PDF()
    font = pydyf.Dictionary(
        {"Type": "/Font", "Subtype": "/Type1", "BaseFont": "/Helvetica", "Encoding": "/WinAnsiEncoding"}
    )
    page = _drawn(number, asked, top=height)
    pdf.add_object(font)
    pdf.add_object(page)
    pdf.add_page(
        pydyf.Dictionary(
            {
                "Type": "/Page",
                "Parent": pdf.pages.reference,
                "MediaBox": pydyf.Array([0, 0, width * MILLIMETRE, height * MILLIMETRE]),
                "Contents": page.reference,
                "Resources": pydyf.Dictionary({"Font": pydyf.Dictionary({"F1": font.reference})}),
            }
        )
    )
    written = io.BytesIO()
    pdf.write(written)
    return written.getvalue()


def _drawn(number: str, asked: Mapping[str, Any], *, top: int) -> pydyf.Stream:
    stream = pydyf.Stream()
    stream.set_line_width(1)
    stream.rectangle(4 * MILLIMETRE, (top - 146) * MILLIMETRE, 92 * MILLIMETRE, 142 * MILLIMETRE)
    stream.stroke()
    place = top - 14.0
    parts = [
        (16, ["BAC À SABLE"]),
        (7, ["Expéditeur", *_lines(asked.get("sender"))]),
        (11, ["Destinataire", *_lines(asked.get("recipient")), str(asked.get("instructions") or "")[:60]]),
        (9, [f"Réf. {asked.get('reference')}", f"{asked.get('weight_g')} g, {asked.get('service')}"]),
        (14, [number]),
    ]
    for size, lines in parts:
        for line in filter(None, lines):
            _write(stream, line, at=place, size=size)
            place -= size * 0.48
        place -= 5
    return stream


def _lines(party: Any) -> Sequence[str]:
    """A sender or recipient, line by line."""
    if not isinstance(party, Mapping):
        return []
    town = f"{party.get('postcode', '')} {party.get('town', '')} {party.get('country', '')}"
    return [str(party.get("company", "")), str(party.get("name", "")), *map(str, party.get("lines", ())), town]


def _write(stream: pydyf.Stream, text: str, *, at: float, size: int) -> None:
    """One line, ``at`` millimetres from below."""
    composed = unicodedata.normalize("NFC", text)[:80].encode("cp1252", "replace")
    stream.begin_text()
    stream.set_font_size("F1", size)
    stream.set_text_matrix(1, 0, 0, 1, 8 * MILLIMETRE, at * MILLIMETRE)
    stream.stream.append(b"<" + composed.hex().encode() + b"> Tj")
    stream.end_text()
