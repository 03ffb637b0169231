"""The line from a process to the coordinator of its store, and hosting it where nobody does."""
