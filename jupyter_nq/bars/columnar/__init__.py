"""Bars from tables that have columns already: Parquet and Arrow files, and frames of any library in memory."""
