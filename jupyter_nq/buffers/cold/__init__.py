"""Copies of objects on a disk: compressed, digested, and encrypted when there is a key. See `COLD.md`."""
