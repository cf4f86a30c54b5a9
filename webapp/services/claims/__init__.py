"""Claim files (dossiers déclaratifs): what was declared, what was decided of it, and what it cost."""
