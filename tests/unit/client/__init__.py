"""Tests of the client: sessions and the channel under them."""
