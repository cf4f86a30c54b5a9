"""Operators of home repair: their keys, and what they are told of covers and claims."""
