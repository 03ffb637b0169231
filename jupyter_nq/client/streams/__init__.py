"""The streams of a session: memory that the coordinator promises, durable ones on the disk, and Kafka."""
