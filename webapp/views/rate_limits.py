"""How often a user may ask, where several pages share one rate."""

from flask import session

from webapp.extensions import limiter

paced = limiter.shared_limit(
    "240 per minute", scope="lists", key_func=lambda: str(session.get("user_id")), methods=["GET"]
)
"""Decorates lists and searches: together they answer a user so often, which nobody at a keyboard reaches."""
