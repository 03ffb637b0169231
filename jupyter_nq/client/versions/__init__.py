"""Which versions belong together, and which have been superseded: snapshots, notices, following, rules."""
