"""The session of one process: load once, put, get, append, and the line to the coordinator."""
