"""Working sets: what a desk works on, saved as a readable file and brought back from it."""
