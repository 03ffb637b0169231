"""Arrays and tensors as messages: the same comes back, and what is none is refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from jupyter_nq.client.notebooks.arrays import KEY, as_message, as_published
from jupyter_nq.errors import InvalidArgument, MissingLibrary, UnsupportedData
from jupyter_nq.streams.messages import Message


def _sent(data: Any, metadata: Any = None) -> Message:
    """Return a message as a consumer of a stream gets it."""
    packed, said = as_message(data, metadata)
    return Message(packed, said or {}, 0, 0, 0, "s")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6, dtype="int32")[::2],
        np.array([True, False]),
        np.array(["2024-01-01", "NaT"], "datetime64[ns]"),
        np.zeros((0, 3), "float32"),
        np.array(1.5 + 2j),
    ],
    ids=str,
)
def test_an_array_comes_back(array: np.ndarray[Any, Any]) -> None:
    """Dtype, shape and values; read-only, and its metadata are the sender's alone."""
    found = as_published(_sent(array, {"model": "v7"}))
    np.testing.assert_array_equal(found.data, array)
    assert (found.data.dtype, found.data.shape, found.metadata) == (array.dtype, array.shape, {"model": "v7"})
    assert not found.data.flags.writeable


def test_a_tensor_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a tensor of its own; where torch is not installed, with what to install."""
    torch = pytest.importorskip("torch")
    tensor = torch.arange(6, dtype=torch.float32).reshape(2, 3).requires_grad_()
    sent = _sent(tensor)
    found = as_published(sent).data
    assert torch.equal(found, tensor)
    found[0, 0] = 7.0
    assert as_published(sent).data[0, 0] == 0.0
    with pytest.raises(UnsupportedData, match=r"Publish tensor\.float\(\)"):
        as_message(tensor.to(torch.bfloat16), None)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingLibrary, match=r"jupyter-nq\[torch\]"):
        as_published(sent)


def test_other_data_are_left_alone() -> None:
    """Numbers of numpy become Python's, which JSON has."""
    data = {"x": [1]}
    assert as_message(data, None) == (data, None)
    assert as_message(np.float32(1.5), {"a": 1}) == (1.5, {"a": 1})
    message = _sent(data)
    assert as_published(message) is message


@pytest.mark.parametrize("data", [np.array(["a"]), np.array([{}]), np.array(["a"], "S1")])
def test_arrays_of_anything_else_are_refused(data: Any) -> None:
    """With their dtype."""
    with pytest.raises(UnsupportedData, match="cannot be sent"):
        as_message(data, None)


@pytest.mark.parametrize("metadata", [{KEY: 1}, "text", [1]])
def test_metadata_are_a_dict_of_one_s_own(metadata: Any) -> None:
    """The key that says what an array is belongs to arrays."""
    with pytest.raises(InvalidArgument, match=r"nq\.array"):
        as_message(1, metadata)


@pytest.mark.parametrize(
    "note",
    [
        1,
        {},
        {"dtype": "<f8", "shape": [3], "form": "numpy"},
        {"dtype": "|O", "shape": [2], "form": "numpy"},
        {"dtype": "no", "shape": [2], "form": "numpy"},
        {"dtype": "<f8", "shape": "ab", "form": "numpy"},
    ],
)
def test_bytes_that_are_no_array_are_refused(note: Any) -> None:
    """Whatever another program wrote into the metadata; nothing is unpickled."""
    with pytest.raises(UnsupportedData, match="says that it is an array, and is none"):
        as_published(Message(bytes(16), {KEY: note}, 0, 0, 0, "s"))
