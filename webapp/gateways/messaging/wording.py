"""What others said, as people may read it here."""


def words(said: object) -> str:
    """Somebody else's words, for people: one line, of a length that fits a page."""
    text = "".join(character if character.isprintable() else " " for character in str(said))
    return " ".join(text.split())[:500]
