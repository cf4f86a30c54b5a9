"""The alphabet of SMS (3GPP TS 23.038): what is beyond it makes every character of the message take two bytes."""

GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_7_TWICE = frozenset("^{}\\[~]|€\f")
"""Characters that take the room of two."""


def is_gsm(text: str) -> bool:
    """Whether the text can travel in seven bits a character."""
    return set(text) <= GSM_7 | GSM_7_TWICE
