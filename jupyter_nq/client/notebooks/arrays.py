"""Arrays and tensors as messages of a stream: their bytes, with dtype and shape in the metadata.

A stream itself knows columns, bytes and what JSON has. A consumer that opens it without these classes gets the bytes,
and the metadata say what they are.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from jupyter_nq.errors import InvalidArgument, MissingLibrary, UnsupportedData
from jupyter_nq.streams.messages import Message

KEY = "nq.array"
"""In the metadata of such a message: `dtype` as numpy writes it, `shape`, and `form`, "numpy" or "torch"."""

_KINDS = "biufcmM"


def as_message(data: Any, metadata: Mapping[str, Any] | None) -> tuple[Any, dict[str, Any] | None]:
    """Return data and metadata as a stream takes them; numbers of numpy become Python's.

    Raises
    ------
    UnsupportedData
        An array of objects or texts, or a tensor that numpy has no type for.
    InvalidArgument
        The metadata are no mapping, or have the key that says what an array is.
    """
    if metadata is not None and (not isinstance(metadata, Mapping) or KEY in metadata):
        raise InvalidArgument(f"metadata={metadata!r} is no dict of one's own: {KEY!r} is kept for arrays.")
    said = None if metadata is None else dict(metadata)
    if isinstance(data, np.generic):
        return data.item(), said
    found = _array(data)
    if found is None:
        return data, said
    array, form = found
    note = {"dtype": array.dtype.str, "shape": list(array.shape), "form": form}
    return array.tobytes(), {**(said or {}), KEY: note}


def as_published(message: Message) -> Message:
    """Return a message with the array or tensor that it was published as; an array is read-only, a tensor a copy.

    Raises
    ------
    MissingLibrary
        It is a tensor, and torch is not installed here.
    UnsupportedData
        The metadata do not say what the bytes are.
    """
    if KEY not in message.metadata:
        return message
    metadata = {key: value for key, value in message.metadata.items() if key != KEY}
    return replace(message, data=_restored(message.data, message.metadata[KEY]), metadata=metadata)


def _array(data: Any) -> tuple[np.ndarray[Any, Any], str] | None:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(data, torch.Tensor):
        try:
            return data.detach().cpu().numpy(), "torch"
        except (TypeError, RuntimeError) as exc:
            raise UnsupportedData(
                f"The tensor cannot be sent: {exc}. Publish tensor.float(), or another dense one."
            ) from exc
    if not isinstance(data, np.ndarray):
        return None
    if data.dtype.kind not in _KINDS:
        raise UnsupportedData(f"An array of {data.dtype} cannot be sent. It takes numbers, bools and times.")
    return data, "numpy"


def _restored(packed: Any, note: Any) -> Any:
    try:
        dtype, shape, form = np.dtype(note["dtype"]), tuple(note["shape"]), note["form"]
        if dtype.kind not in _KINDS or math.prod(shape) * dtype.itemsize != len(packed):
            raise ValueError(f"{len(packed)} bytes are no {shape} of {dtype}")
        array = np.frombuffer(packed, dtype).reshape(shape)
    except (TypeError, ValueError, KeyError) as exc:
        raise UnsupportedData(f"A message says that it is an array, and is none: {exc}.") from exc
    if form != "torch":
        return array
    try:
        import torch
    except ImportError as exc:
        raise MissingLibrary('A message is a tensor, which needs torch: pip install "jupyter-nq[torch]"') from exc
    return torch.from_numpy(array.copy())
