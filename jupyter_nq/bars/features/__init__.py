"""Features: what models are given besides the bars themselves, each known when its bar is complete."""
