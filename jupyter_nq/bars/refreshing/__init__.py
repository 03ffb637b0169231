"""What became of a source since it was read: rows behind the old ones, or another history."""
