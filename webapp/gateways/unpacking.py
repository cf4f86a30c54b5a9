"""Unpacks the body of an HTTP answer in pieces of bounded size: httpx alone makes one piece of whatever a packet holds.

A few kilobytes of gzip can hold gigabytes; unpacked at once, they would fill the worker's memory.
"""

import zlib
from collections.abc import Iterator

import httpx

PIECE = 256 * 1024
"""Bytes that are unpacked at a time."""
RATIO_LIMIT = 200
"""How many bytes one packed byte may hold: lists of prospects pack 10 to 20 to one, a bomb some 1,000 to one."""
RATIO_FREE = 64 * 1024 * 1024
"""Bytes from which the ratio is looked at: a short list of very similar prospects may pack well."""


class UnknownPackingError(Exception):
    """The answer is packed in a way that we did not ask for."""


class TooMuchError(Exception):
    """What is unpacked is out of all proportion to what was sent."""


def unpacked(response: httpx.Response) -> Iterator[bytes]:
    """The body as it comes; what is gzip, unpacked in pieces of ``PIECE`` bytes at most.

    Raises UnknownPackingError, TooMuchError, httpx.DecodingError for what is no gzip, and httpx's errors of reading.
    """
    packing = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packing == "identity":
        yield from response.iter_bytes()  # as they come: a piece of a given size would be waited for
    elif packing in ("gzip", "x-gzip"):
        yield from _gunzipped(response)
    else:
        raise UnknownPackingError(packing)


def _gunzipped(response: httpx.Response) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    received = handed_out = 0
    for block in response.iter_raw():
        received += len(block)
        rest, is_full = block, False
        while rest or is_full:
            try:
                piece = unpacker.decompress(rest, PIECE)
            except zlib.error as error:
                raise httpx.DecodingError(str(error), request=response.request) from error
            handed_out += len(piece)
            if handed_out > max(RATIO_FREE, RATIO_LIMIT * received):
                raise TooMuchError
            if piece:
                yield piece
            rest, is_full = unpacker.unconsumed_tail, len(piece) == PIECE  # when full, more may wait inside
