"""Dunning (relances): what unpaid clients are told and when, and what follows where they do not pay."""
