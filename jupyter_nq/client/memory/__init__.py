"""The specification's memory classes, and the watch over memory that they share.

`sampling` reads figures, `watch` compares them with thresholds, `relief` gives memory back; `pool` and `manager` are
the classes that a notebook uses. The data lie in the session's store: nothing here keeps a copy.
"""

from __future__ import annotations
