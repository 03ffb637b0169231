"""The disk below a session's memory: copies that make room, that outlive the machine, and their keys."""
