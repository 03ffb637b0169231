"""Fuzzing of the readers of text tables, against a slow reader that is right because it is simple."""
