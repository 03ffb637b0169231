"""Rules as text, `high - low > 50 and volume < 10`, without `eval`.

The text is parsed as a Python expression, and only what is listed here is carried out: the columns, numbers,
arithmetic, comparisons, `and or not`, and a few functions. Nothing else has a meaning, so nothing else can run.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from jupyter_nq.errors import InvalidArgument

_LONGEST, _DEEPEST = 500, 20
_BINARY: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
}
_COMPARE: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def _previous(values: Any, bars: Any = 1) -> Any:
    """Return the values of `bars` bars before, NaN in the first: never of bars to come."""
    if not isinstance(bars, (int, float)) or bars != int(bars) or bars < 0:
        raise InvalidArgument(f"previous(..., {bars}): the number of bars is a whole number of 0 or more.")
    back = min(int(bars), len(values))
    moved = np.full(len(values), np.nan)
    moved[back:] = values[: len(values) - back]
    return moved


def _largest(first: Any, second: Any, *more: Any) -> Any:
    return functools.reduce(np.maximum, (first, second, *more))


def _least(first: Any, second: Any, *more: Any) -> Any:
    return functools.reduce(np.minimum, (first, second, *more))


def _size(values: Any) -> Any:
    return np.abs(values)


def _logarithm(values: Any) -> Any:
    return np.log(values)


# Not numpy's own functions, whose further arguments say where the result goes.
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": _size,
    "max": _largest,
    "min": _least,
    "log": _logarithm,
    "previous": _previous,
}


def parsed(expression: str) -> ast.Expression:
    """Return the tree of an expression; `InvalidArgument` when it is none, whatever the columns are."""
    if len(expression) > _LONGEST:
        raise InvalidArgument(f"the rule has {len(expression)} characters; {_LONGEST} are allowed.")
    try:
        return ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        why = exc.msg if isinstance(exc, SyntaxError) else str(exc)
        raise InvalidArgument(
            f"the rule {expression!r} is no expression: {why}{'' if why.endswith('?') else '.'}"
        ) from exc


def broken_by(expression: str, columns: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """Return the rows for which an expression is true.

    Parameters
    ----------
    expression
        At most 500 characters: names of `columns`, numbers, `+ - * /`, comparisons, `and or not`, and the
        functions `abs(x) max(x, y, ...) min(x, y, ...) log(x) previous(column, bars)`.
    columns
        Arrays of one length.

    Raises
    ------
    InvalidArgument
        It is no expression, has something that is not allowed, or no truth for each row.

    >>> broken_by("high - low > 2", {"high": np.array([5.0, 3.0]), "low": np.array([1.0, 2.0])}).tolist()
    [True, False]
    """
    tree = parsed(expression)
    try:
        with np.errstate(all="ignore"):
            result = _value(tree.body, columns, expression, 0)
    except TypeError as exc:  # numpy has no such arithmetic
        raise InvalidArgument(f"the rule {expression!r} calculates with what is true or not: {exc}.") from exc
    rows = len(next(iter(columns.values())))
    if not isinstance(result, np.ndarray) or result.dtype != bool or result.shape != (rows,):
        raise InvalidArgument(f"the rule {expression!r} does not say yes or no for each bar. Write a comparison.")
    return result


def _value(node: ast.AST, columns: Mapping[str, Any], text: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise InvalidArgument(f"the rule {text!r} is nested more than {_DEEPEST} deep.")

    def of(inner: ast.AST) -> Any:
        return _value(inner, columns, text, depth + 1)

    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id=name) if name in columns:
            return columns[name]
        case ast.BinOp(op=op) if type(op) in _BINARY:
            return _BINARY[type(op)](of(node.left), of(node.right))
        case ast.UnaryOp(op=ast.USub()):
            return -of(node.operand)
        case ast.UnaryOp(op=ast.Not()):
            return np.logical_not(_truth(of(node.operand), text))
        case ast.BoolOp(op=op):
            combine = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return combine.reduce([_truth(of(value), text) for value in node.values])
        case ast.Compare() if all(type(op) in _COMPARE for op in node.ops):
            sides = [of(side) for side in (node.left, *node.comparators)]
            pairs = zip(node.ops, pairwise(sides), strict=True)
            return np.logical_and.reduce([_COMPARE[type(op)](a, b) for op, (a, b) in pairs])
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
            try:
                return FUNCTIONS[name](*map(of, node.args))
            except TypeError as exc:
                raise InvalidArgument(f"the rule {text!r}: {name} is called in a way that it has not.") from exc
    at = getattr(node, "col_offset", 0) + 1
    raise InvalidArgument(
        f"the rule {text!r}, character {at}: {ast.unparse(node)!r} is not allowed. Allowed are the columns "
        f"{', '.join(columns)}, numbers, + - * /, comparisons, and/or/not, and {', '.join(FUNCTIONS)}."
    )


def _truth(value: Any, text: str) -> Any:
    if not isinstance(value, np.ndarray) or value.dtype != bool:
        raise InvalidArgument(f"the rule {text!r}: and, or and not stand between comparisons.")
    return value
