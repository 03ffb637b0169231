"""Sniffing: from a file to its profile, with the evidence for every answer."""
