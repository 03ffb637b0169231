"""Reading: the bytes of a file, by the rules of its profile, to the canonical table of bars."""
