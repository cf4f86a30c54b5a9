"""What stands around the words of a company's e-mails and letters: logo, colour, name, address, and its foot."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import undefer

from webapp import french
from webapp.errors import InvalidInputError, NotFoundError
from webapp.extensions import db
from webapp.models.base import new_id
from webapp.models.messages import MessageFrame
from webapp.models.organisations import Company
from webapp.services.contact import clean_text, readable_phone
from webapp.services.invoices.printing import legal_line
from webapp.tenancy import current_organisation_id
from webapp.transactions import transaction

USUAL_COLOUR = "#1f4e79"
LARGEST_LOGO = 200_000
"""Bytes."""
LOGO_SIDES = range(16, 2001)
"""Pixels of each side."""
LOGO_ROOM = (200, 56)
"""Pixels in which it is shown, at most."""
LONGEST_FOOTER = 1000
LEAST_CONTRAST = 4.5
"""Against white, of text that everybody can read (WCAG 2.2, 1.4.3)."""
_COLOUR = re.compile(r"#[0-9a-f]{6}", re.ASCII)
_LEGAL = ("legal_form", "share_capital", "siren", "registry_city", "vat_number")
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers of a JPEG after which its height and width stand (ITU-T T.81, B.1.1.3)."""


class Logo(NamedTuple):
    """An image as it is kept, and the pixels in which it is shown."""

    content_type: str
    content: bytes
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Frame:
    """All that a company's e-mails and letters show around the body. ``address`` and ``footer`` are lines."""

    company_id: UUID
    name: str
    address: tuple[str, ...] = ()
    phone: str = ""
    email: str = ""
    legal_line: str = ""
    colour: str = USUAL_COLOUR
    footer: tuple[str, ...] = ()
    logo: Logo | None = field(default=None, repr=False)

    @property
    def contact(self) -> str:
        """Its telephone and e-mail on a line."""
        return " · ".join(part for part in (self.phone, self.email) if part)


def load_frames(company_ids: Collection[UUID]) -> dict[UUID, Frame]:
    """The frame of each company, in one statement; one that never set any has the usual colour and no logo."""
    statement = (
        select(Company, MessageFrame)
        .outerjoin(
            MessageFrame,
            (MessageFrame.organisation_id == Company.organisation_id) & (MessageFrame.company_id == Company.id),
        )
        .where(Company.id.in_(set(company_ids)))
        .options(undefer(MessageFrame.logo))
    )
    return {company.id: _frame(company, kept) for company, kept in db.session.execute(statement)}


def find_frame(company_id: UUID) -> Frame:
    """The frame of one company. Raises NotFoundError."""
    frames = load_frames([company_id])
    if company_id not in frames:
        raise NotFoundError
    return frames[company_id]


def save_frame(
    company_id: UUID, *, colour: str, footer: str, logo: bytes | None = None, removes_logo: bool = False, at: datetime
) -> None:
    """Set a company's frame; without ``logo`` the one it has stays. Raises InvalidInputError, NotFoundError."""
    values: dict[str, object] = {"colour": checked_colour(colour), "footer": "\n".join(checked_footer(footer))}
    if logo is not None:
        values |= {"logo": logo, "logo_type": read_logo(logo).content_type}
    elif removes_logo:
        values |= {"logo": None, "logo_type": None}
    with transaction():
        if db.session.scalar(select(Company.id).where(Company.id == company_id)) is None:
            raise NotFoundError
        first = {
            "organisation_id": current_organisation_id(),
            "id": new_id(),
            "company_id": company_id,
            "created_at": at,
        }
        db.session.execute(
            insert(MessageFrame.__table__)  # type: ignore[arg-type]
            .values(first | values)
            .on_conflict_do_update(index_elements=["organisation_id", "company_id"], set_=values)
        )


def checked_colour(text: str) -> str:
    """A colour that can be read on white, as « #1f4e79 ». Raises InvalidInputError, field ``colour``."""
    colour = text.strip().lower()
    if not _COLOUR.fullmatch(colour):
        raise InvalidInputError("Écrivez la couleur ainsi\u202f: #1f4e79.", field="colour")
    contrast = contrast_with_white(colour)
    if contrast < LEAST_CONTRAST:
        raise InvalidInputError(
            f"Cette couleur est trop claire pour être lue sur du blanc\u202f: son contraste est de "
            f"{french.field_number(round(contrast, 1))}, il en faut au moins {french.field_number(LEAST_CONTRAST)}.",
            field="colour",
        )
    return colour


def contrast_with_white(colour: str) -> float:
    """The ratio of contrast, from 1 to 21 (WCAG 2.2)."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def checked_footer(text: str) -> tuple[str, ...]:
    """The lines of a foot. Raises InvalidInputError, field ``footer``."""
    lines = tuple(line for written in text.splitlines() if (line := clean_text(written)))
    if len("\n".join(lines)) > LONGEST_FOOTER:
        raise InvalidInputError(f"Le pied a {french.whole(LONGEST_FOOTER)} caractères au plus.", field="footer")
    return lines


def read_logo(content: bytes) -> Logo:
    """An image that somebody chose, known by its bytes. Raises InvalidInputError, field ``logo``."""
    if len(content) > LARGEST_LOGO:
        raise InvalidInputError(f"Le logo pèse plus de {french.file_size(LARGEST_LOGO)}.", field="logo")
    size = _size_of(content)
    if size is None:
        raise InvalidInputError("Ce fichier n’est ni une image PNG ni une image JPEG.", field="logo")
    if not all(side in LOGO_SIDES for side in size):
        raise InvalidInputError(
            f"Chaque côté du logo a de {LOGO_SIDES[0]} à {french.whole(LOGO_SIDES[-1])} pixels.", field="logo"
        )
    return _logo(content, size)


def _frame(company: Company, kept: MessageFrame | None) -> Frame:
    place = " ".join(part for part in (company.postcode, company.city) if part)
    country = french.country(company.country) if company.country != "FR" else ""
    size = _size_of(kept.logo) if kept and kept.logo else None
    return Frame(
        company_id=company.id,
        name=company.name,
        address=tuple(line for line in (company.address_line1, company.address_line2, place, country) if line),
        phone=readable_phone(company.phone),
        email=company.email or "",
        legal_line=legal_line({name: getattr(company, name) for name in _LEGAL}),
        colour=kept.colour if kept else USUAL_COLOUR,
        footer=tuple(kept.footer.splitlines()) if kept else (),
        logo=_logo(kept.logo, size) if kept and kept.logo and size else None,
    )


def _logo(content: bytes, size: tuple[int, int]) -> Logo:
    """Shown at half its pixels, so that it is sharp on every screen, or smaller where the room asks for it."""
    width, height = size
    scale = min(0.5, LOGO_ROOM[0] / width, LOGO_ROOM[1] / height)
    content_type = "image/png" if content.startswith(_PNG) else "image/jpeg"
    return Logo(content_type, content, max(1, round(width * scale)), max(1, round(height * scale)))


def _size_of(content: bytes) -> tuple[int, int] | None:
    """Width and height in pixels; None where it is neither PNG nor JPEG, or is cut off."""
    if content.startswith(_PNG) and content[12:16] == b"IHDR" and b"IEND" in content[-12:]:
        return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    return _size_of_jpeg(content) if content.startswith(_JPEG) else None


def _size_of_jpeg(content: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(content) and content[position] == 0xFF:
        if content[position + 1] in _JPEG_SIZES:
            return int.from_bytes(content[position + 7 : position + 9]), int.from_bytes(
                content[position + 5 : position + 7]
            )
        position += 2 + int.from_bytes(content[position + 2 : position + 4])
    return None
