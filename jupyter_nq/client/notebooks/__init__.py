"""Notebooks that know of each other: what they register as, and data that one hands to another."""
