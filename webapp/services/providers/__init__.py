"""Accounts with payment providers."""
