"""Variables that follow a dataset, with a dict for the notebook's."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from jupyter_nq.buffers import Handle
from jupyter_nq.client.holding import mapped_as
from jupyter_nq.client.session import Session
from jupyter_nq.client.versions.following import Following, current, follow, use
from jupyter_nq.errors import InvalidArgument, UnknownDataset

_Names = dict[str, Any]


def _view(handle: Handle) -> Any:
    return handle.numpy()


def _following(session: Session, names: _Names) -> Following:
    session.put("a", np.arange(3))
    following = Following(names)
    line = following.begin(session, "a", "x", _view)
    assert line == "x follows a, now v1: between cells it moves to the newest version"
    return following


def test_a_variable_that_python_cannot_have_is_refused(session: Session) -> None:
    """Also a word of the language, which no cell could read."""
    following = _following(session, names := {})
    for word in ("a b", "class", "None", ""):
        with pytest.raises(InvalidArgument, match=f"as_={word!r} is not the name of a variable"):
            following.begin(session, "a", word, _view)
    assert list(names) == ["x"]


def test_it_moves_when_asked(session: Session) -> None:
    """To the newest version, over those between, and says so in a line."""
    names: _Names = {}
    following = _following(session, names)
    assert names["x"].tolist() == [0, 1, 2]
    assert following.move() == []
    session.put("a", np.zeros(2))
    session.put("a", np.ones(4))
    assert names["x"].tolist() == [0, 1, 2], "never by itself"
    assert following.move() == ["x: a v1 -> v3"]
    assert names["x"].tolist() == [1, 1, 1, 1]
    assert following.move() == []
    assert following.variables == {"x"}
    assert repr(following) == "<Following a as x>"


def test_rows_that_are_appended_are_followed(session: Session) -> None:
    """They are a newer version of the same object."""
    names: _Names = {}
    session.put("t", {"v": np.arange(3.0)})
    following = Following(names)
    following.begin(session, "t", "x", _view)
    session.append("t", {"v": np.ones(2)})
    assert following.move() == ["x: t v1 -> v2"]
    assert len(names["x"]["v"]) == 5


@pytest.mark.parametrize("rebound", [True, False])
def test_a_variable_that_means_something_else_is_left(session: Session, rebound: bool) -> None:
    """Assigned anew or deleted: it is said once, and nothing is assigned."""
    names: _Names = {}
    following = _following(session, names)
    mine = names["x"].copy()
    if rebound:
        names["x"] = mine
    else:
        del names["x"]
    session.put("a", np.zeros(2))
    assert following.move() == ["x is something else now: it does not follow a any more"]
    assert following.move() == []
    assert names == ({"x": mine} if rebound else {})


def test_nothing_is_kept_in_memory_by_following(session: Session) -> None:
    """With the variable goes the last view, and the memory when the dataset was replaced."""
    names: _Names = {}
    session.put("a", np.arange(3))
    following = Following(names)
    following.begin(session, "a", "x", _view)
    del names["x"]
    gc.collect()
    assert mapped_as(session.store, "a") == ()
    assert len(following.move()) == 1


def test_a_dropped_dataset(session: Session) -> None:
    """The variable stays, and moves when the name is there again."""
    names: _Names = {}
    following = _following(session, names)
    session.drop("a")
    assert following.move() == ["a was dropped: x stays at v1"]
    assert following.move() == []
    session.put("a", np.ones(2))
    assert following.move() == ["x: a v1 -> v2"]


def test_a_version_that_cannot_be_shown(session: Session) -> None:
    """It is said once, the variable stays, and the next version is tried."""
    names: _Names = {}
    session.put("a", {"v": np.arange(3.0)})
    following = Following(names)
    following.begin(session, "a", "x", lambda handle: _column(handle))
    session.put("a", {"w": np.arange(3.0)})
    (line,) = following.move()
    assert line == "x stays at v1 of a: no column v"
    assert following.move() == []
    session.put("a", {"v": np.ones(3)})
    assert following.move() == ["x: a v1 -> v3"]


def _column(handle: Handle) -> Any:
    found = handle.numpy()
    if "v" not in found:
        raise InvalidArgument("no column v")
    return found["v"]


def test_only_a_notebook_has_variables(session: Session) -> None:
    """Elsewhere it is an error that says what to do."""
    session.put("a", np.arange(3))
    with pytest.raises(InvalidArgument, match="%load_ext jupyter_nq"):
        follow(session, "a", "x")
    names: _Names = {}
    use(Following(names))
    try:
        assert follow(session, "a", "x", form="numpy").startswith("x follows a")
        assert names["x"] is current().shown("x")
        for arguments, error in {("nothing", "x"): UnknownDataset, ("a", "not a name"): InvalidArgument}.items():
            with pytest.raises(error):
                follow(session, *arguments)
        with pytest.raises(InvalidArgument):
            follow(session, "a", "x", form="excel")
    finally:
        use(None)
