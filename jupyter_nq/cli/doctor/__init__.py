"""`jupyter nq doctor`: what the store needs from this machine, tried in the configured directory."""
