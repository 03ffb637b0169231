"""Streams: messages in shared memory that every notebook publishes and reads without a server in between."""

from jupyter_nq.streams.making import Options, make_stream
from jupyter_nq.streams.messages import Message
from jupyter_nq.streams.stream import Stream
from jupyter_nq.streams.subscription import Subscription

__all__ = ["Message", "Options", "Stream", "Subscription", "make_stream"]
