"""Contracts: which there are, and how many."""
