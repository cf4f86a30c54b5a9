"""A job that does nothing: that it was done tells that its queue's worker takes jobs."""


def answer() -> None:
    """Do nothing."""
