"""Live bars: ticks or small bars of a stream in, bars of the session's clock out, and a replay that feeds them."""
