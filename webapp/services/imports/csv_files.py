"""CSV as programs write it: encoding and separator are guessed, then everything is read strictly.

No letter is guessed at: a file that is not wholly of its encoding is refused, with the line.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from typing import IO

from charset_normalizer import from_bytes

from webapp.errors import InvalidInputError

ENCODINGS = {
    "utf-8": "UTF-8",
    "cp1252": "Windows (Excel)",
    "mac_roman": "Mac",
    "cp850": "MS-DOS",
    "utf-16": "UTF-16",
}
SEPARATORS = {";": "Point-virgule", ",": "Virgule", "\t": "Tabulation", "|": "Barre verticale"}
SAMPLE = 64 * 1024
LINE_LIMIT = 1_000_000
"""Characters of a line: a longer one is no line of a table."""
SAMPLE_LINES = 50
_PIECE = 1024 * 1024
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What UTF-8 looks like that was read as Windows-1252: « é » as « Ã© ».
_MISREAD = tuple(letter.encode().decode("cp1252") for letter in "éèêëàâçîïôûùÉÊ")


def guess_encoding(file: IO[bytes]) -> str:
    """The encoding, a key of ENCODINGS: UTF-8 where all of the file is, else what its letters look like."""
    file.seek(0)
    sample = file.read(SAMPLE)
    if sample.startswith(_UTF16_MARKS) or _is_unmarked_utf16(sample):
        return "utf-16"
    if sample.startswith(codecs.BOM_UTF8) or _is_utf8(file):
        return "utf-8"
    file.seek(0)
    letters = b"".join(_lines_beyond_ascii(file))
    best = from_bytes(letters, cp_isolation=["cp1252", "mac_roman", "cp850"]).best()
    return best.encoding if best and best.encoding in ENCODINGS else "cp1252"


def _is_unmarked_utf16(sample: bytes) -> bool:
    """Whether every second byte is mostly empty and no other is: how SQL Server exports « Unicode », without a mark."""
    low, high = sample[::2], sample[1::2]
    return 0 not in low and high.count(0) * 2 > len(high)


def _is_utf8(file: IO[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        while piece := file.read(_PIECE):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _lines_beyond_ascii(file: IO[bytes]) -> Iterator[bytes]:
    """The first lines that tell encodings apart."""
    found = 0
    while found < SAMPLE and (line := file.readline(SAMPLE)):
        if not line.isascii():
            found += len(line)
            yield line


def guess_separator(file: IO[bytes], encoding: str) -> str:
    """A key of SEPARATORS."""
    import clevercsv  # noqa: PLC0415  two seconds, for those who read files alone

    lines = []
    for line in _decoded_lines(file, encoding):
        if line.strip():
            lines.append(line[:2000])
        if len(lines) == SAMPLE_LINES:
            break
    dialect = clevercsv.Detector().detect("".join(lines), delimiters=list(SEPARATORS))
    if dialect is not None and dialect.delimiter in SEPARATORS:
        return str(dialect.delimiter)
    return max(SEPARATORS, key="".join(lines).count)


def read_rows(file: IO[bytes], encoding: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of its first line. Raises InvalidInputError, field « file », at the first fault."""
    reader = csv.reader(_decoded_lines(file, encoding), delimiter=separator, strict=True)
    start = 1
    try:
        for row in reader:
            yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInputError(_why(error, start, reader.line_num), field="file") from error


def _why(error: csv.Error, start: int, line: int) -> str:
    if "field larger" in str(error) or "unexpected end" in str(error):
        return f"Un guillemet ouvert à la ligne {start} n’est jamais refermé."
    return f"Un guillemet est mal placé à la ligne {line}."


def _decoded_lines(file: IO[bytes], encoding: str) -> Iterator[str]:
    """Line after line, in pieces of bounded size. Raises InvalidInputError, field « file »."""
    decoder = codecs.getincrementaldecoder(_codec(file, encoding))(errors="strict")
    file.seek(0)
    number, rest, is_end = 0, "", False
    while not is_end:
        piece = file.read(_PIECE)
        is_end = not piece
        text = rest + _decoded(decoder, piece, encoding, number + rest.count("\n"), is_end=is_end)
        lines = list(io.StringIO(text, newline=""))
        # What comes last may go on in the next piece; so may the two halves of an end of line.
        rest = "" if is_end or not lines else lines.pop()
        for line in lines:
            number += 1
            _check(line, number)
            yield line
        _check(rest, number + 1)


def _codec(file: IO[bytes], encoding: str) -> str:
    """What decodes the file: with the mark at its beginning, if any."""
    file.seek(0)
    if encoding == "utf-16" and not file.read(2).startswith(_UTF16_MARKS):
        return "utf-16-le"
    return "utf-8-sig" if encoding == "utf-8" else encoding


def _decoded(decoder: codecs.IncrementalDecoder, piece: bytes, encoding: str, lines: int, *, is_end: bool) -> str:
    try:
        text = decoder.decode(piece, final=is_end)
    except (UnicodeDecodeError, UnicodeError) as error:
        start = getattr(error, "start", 0)
        line = lines + 1 + piece[:start].count(b"\n")
        raise InvalidInputError(
            f"La ligne {line} n’est pas en {ENCODINGS[encoding]}\u202f: choisissez un autre encodage, ou enregistrez "
            "le fichier en UTF-8.",
            field="encoding",
        ) from error
    if encoding == "cp1252" and any(misread in text for misread in _MISREAD):
        position = min(place for misread in _MISREAD if (place := text.find(misread)) >= 0)
        line = lines + 1 + text[:position].count("\n")
        raise InvalidInputError(
            f"Ce fichier mélange deux encodages (ligne {line})\u202f: enregistrez-le en UTF-8.", field="encoding"
        )
    return text


def _check(line: str, number: int) -> None:
    if "\0" in line:
        raise InvalidInputError(
            f"La ligne {number} contient des caractères nuls\u202f: ce n’est pas du CSV.", field="file"
        )
    if len(line) > LINE_LIMIT:
        raise InvalidInputError(f"La ligne {number} est démesurée\u202f: ce n’est pas un tableau.", field="file")
