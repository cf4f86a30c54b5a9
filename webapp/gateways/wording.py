"""What others said, as people may read it here."""

LONGEST = 500


def words(said: object) -> str:
    """Somebody else's words, for people: one line, of a length that fits a page."""
    beginning = str(said)[: 4 * LONGEST]
    text = "".join(character if character.isprintable() else " " for character in beginning)
    return " ".join(text.split())[:LONGEST]
