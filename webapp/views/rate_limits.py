"""How often a user may ask, where several pages share one rate."""

from flask import session

from webapp.extensions import limiter

RATE = "240 per minute"
"""What nobody at a keyboard reaches; a benchmark, which does, sets another before it serves."""
paced = limiter.shared_limit(lambda: RATE, scope="lists", key_func=lambda: str(session.get("user_id")), methods=["GET"])
"""Decorates lists and searches: together they answer a user so often."""
