"""A mutex by name, with a lease: on files of the store, so that it needs no coordinator."""
