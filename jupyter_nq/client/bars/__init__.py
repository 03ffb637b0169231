"""Bars of files as shared datasets: found, asked for once, parsed by one process, kept up, and joined."""
