"""Tests of the coordinator: the pure desk, and the service over a real store and real sockets."""
