"""The settings of messages, for admins: their texts and frames, by whom they leave, and who gets none."""

from flask import current_app

from webapp.views.message_settings import frames, senders, suppressions, texts

BLUEPRINTS = (texts.bp, senders.bp, suppressions.bp, frames.bp)


@texts.bp.app_template_test("known_endpoint")
def is_known_endpoint(endpoint: str) -> bool:
    """Whether a page is there to be linked to."""
    return endpoint in current_app.view_functions
