"""Durable streams: what was published is copied to a disk in groups, and comes back after a restart of the machine."""
