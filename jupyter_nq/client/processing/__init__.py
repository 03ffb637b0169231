"""Many chunks at the same time, in threads or forked workers."""
