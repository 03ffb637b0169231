"""The public functions of the bridges to Kafka: over this process's session, with what only they need."""

from __future__ import annotations

from jupyter_nq.client.api import through_session
from jupyter_nq.client.streams import bridging

kafka_in = through_session(bridging.kafka_in)
kafka_out = through_session(bridging.kafka_out)
