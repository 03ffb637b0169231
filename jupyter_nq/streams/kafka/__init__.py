"""The bridge between streams and Kafka: every message arrives on the other side once, whoever is killed meanwhile."""

from jupyter_nq.streams.kafka.foreign import FOREIGN
from jupyter_nq.streams.kafka.incoming import KafkaIn
from jupyter_nq.streams.kafka.outgoing import KafkaOut

__all__ = ["FOREIGN", "KafkaIn", "KafkaOut"]
