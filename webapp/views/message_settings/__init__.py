"""The settings of messages, for admins: their texts, and what stands around them."""

from flask import current_app

from webapp.views.message_settings import frames, texts

BLUEPRINTS = (texts.bp, frames.bp)


@texts.bp.app_template_test("known_endpoint")
def is_known_endpoint(endpoint: str) -> bool:
    """Whether a page is there to be linked to."""
    return endpoint in current_app.view_functions
