"""What became of a source since it was read."""
