"""Sessions: when an exchange trades, and what follows from it for bars."""
