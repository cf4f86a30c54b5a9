"""The settings of messages, for admins: their texts and frames, by whom they leave, and who gets none."""

from webapp.views.message_settings import frames, senders, suppressions, texts, versions

BLUEPRINTS = (texts.bp, versions.bp, senders.bp, suppressions.bp, frames.bp)
