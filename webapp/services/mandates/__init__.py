"""SEPA mandates: given, completed, printed, revoked; and those that lack something."""
