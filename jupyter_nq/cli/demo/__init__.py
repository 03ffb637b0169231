"""`jupyter nq demo`: the main job for real, from an empty directory to a printed summary."""
