"""What fits on a carrier's label: so many lines, so long, in its letters. Nothing is cut: what does not fit is told.

Carriers print Latin-1. What only looks different (« ’ », « œ », a narrow space) is written with those letters; a letter
that has no such writing is a fault.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from webapp.gateways.carriers.protocol import LabelRequest, Party
from webapp.models.carriers import HEAVIEST

_AS_PRINTED = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛ʼ", "'"),
        **dict.fromkeys("“”„", '"'),
        **dict.fromkeys("‐‑‒–—−", "-"),
        **dict.fromkeys("\u00a0\u2009\u202f", " "),
        "œ": "oe",
        "Œ": "OE",
        "Ÿ": "Y",
        "…": "...",
        "€": "EUR",
    }
)


_UNION = frozenset("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MC MT NL PL PT RO SE SI SK".split())


@dataclass(frozen=True)
class Limits:
    """Characters, and how many lines an address may take: for the street, for what completes it, and in all."""

    name: int = 35
    line: int = 35
    street_lines: int = 2
    complement_lines: int = 2
    lines: int = 4
    town: int = 35
    postcode: int = 9
    phone: int = 20
    email: int = 80
    reference: int = 17
    instructions: int = 70
    customs: bool = False
    """Whether parcels may leave the customs territory of the Union."""


class Fault(NamedTuple):
    """Why a text does not fit, as a French sentence. ``field`` is that of Party or of LabelRequest."""

    field: str
    sentence: str


class Folded(NamedTuple):
    """An address in lines that fit."""

    street: tuple[str, ...]
    complement: tuple[str, ...]


def as_printed(text: str) -> str:
    """``text`` in the carrier's letters, as far as it has them."""
    return " ".join(text.translate(_AS_PRINTED).split())


def fold(limits: Limits, lines: tuple[str, ...]) -> Folded | None:
    """The lines of an address, broken between words; None where they do not fit."""
    street = _broken(lines[0] if lines else "", limits.line)
    complement = _broken(", ".join(filter(None, lines[1:])), limits.line)
    fits = (
        0 < len(street) <= limits.street_lines
        and len(complement) <= limits.complement_lines
        and len(street) + len(complement) <= limits.lines
        and all(len(line) <= limits.line for line in street + complement)
    )
    return Folded(street, complement) if fits else None


def _broken(text: str, width: int) -> tuple[str, ...]:
    return tuple(textwrap.wrap(as_printed(text), width, break_long_words=False, break_on_hyphens=False))


def party_faults(limits: Limits, party: Party) -> Iterator[Fault]:
    """What of a sender or recipient does not fit, or is missing."""
    if not party.name and not party.company:
        yield Fault("name", "Un nom est nécessaire.")
    for field, most in (("name", limits.name), ("company", limits.name), ("town", limits.town)):
        yield from _text_faults(field, getattr(party, field), most)
    for field, most in (("postcode", limits.postcode), ("phone", limits.phone), ("email", limits.email)):
        yield from _text_faults(field, getattr(party, field), most)
    if not party.town:
        yield Fault("town", "La ville est nécessaire.")
    if not party.postcode:
        yield Fault("postcode", "Le code postal est nécessaire.")
    yield from _line_faults(limits, party.lines)


def _line_faults(limits: Limits, lines: tuple[str, ...]) -> Iterator[Fault]:
    if not lines or not lines[0].strip():
        yield Fault("lines", "Le numéro et la rue sont nécessaires.")
    elif letters := _unprintable("".join(lines)):
        yield Fault("lines", _unknown_letters(letters))
    elif fold(limits, lines) is None:
        yield Fault(
            "lines", f"L’adresse ne tient pas sur l’étiquette\u202f: {limits.lines} lignes de {limits.line} caractères."
        )


def request_faults(limits: Limits, request: LabelRequest) -> Iterator[Fault]:
    """What of a request cannot be carried as it is; fields of its parties are ``sender.name``, ``recipient.lines`` …"""
    if not 0 < request.weight_g <= HEAVIEST:
        yield Fault("weight_g", "Le poids va de 1 g à 30\u00a0kg.")
    yield from _text_faults("reference", request.reference, limits.reference)
    yield from _text_faults("instructions", request.instructions, limits.instructions)
    for role, party in (("sender", request.sender), ("recipient", request.recipient)):
        for fault in party_faults(limits, party):
            yield Fault(f"{role}.{fault.field}", fault.sentence)
    if not limits.customs and _needs_customs(request.recipient):
        yield Fault(
            "recipient.country", "Cette destination demande une déclaration en douane, que nous ne faisons pas."
        )


def _needs_customs(party: Party) -> bool:
    """Outside the customs territory of the Union: other countries, and the French overseas."""
    return party.country not in _UNION or (party.country == "FR" and party.postcode.startswith(("97", "98")))


def _text_faults(field: str, text: str, most: int) -> Iterator[Fault]:
    if letters := _unprintable(text):
        yield Fault(field, _unknown_letters(letters))
    elif len(as_printed(text)) > most:
        yield Fault(field, f"{most} caractères au plus sur l’étiquette.")


def _unprintable(text: str) -> str:
    printed = as_printed(text)
    return "".join(dict.fromkeys(letter for letter in printed if ord(letter) > 255 or not letter.isprintable()))


def _unknown_letters(letters: str) -> str:
    shown = "".join(letter for letter in letters[:5] if letter.isprintable())
    which = f"\u202f: «\u00a0{shown}\u00a0»" if shown else ""
    return f"Le transporteur n’imprime pas ces caractères{which}."
