"""The body of `%%nq_on` as a function over the notebook's names, which is called for each message.

The message is its parameter, so a variable of the notebook that is called `data` stays what it is. Whatever else the
body assigns becomes a variable of the notebook, as in any cell.
"""
# IPython's input transformers carry no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import ast
import symtable
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_NAME = "on_message"


def callback_of(shell: InteractiveShell, cell: str, parameters: Sequence[str]) -> Callable[..., Any]:
    """Return a function that runs a cell's body with these parameters, magics in it included.

    Raises
    ------
    UsageError
        It is empty, or no Python that a function can have.
    """
    try:
        text = shell.transform_cell(cell)
        file_name = shell.compile.cache(text, shell.execution_count, raw_code=cell)  # so that errors show their line
        body = ast.parse(text, file_name).body
        assigned = _assigned(text, file_name) - set(parameters)
        code = _code(body, sorted(assigned), parameters, file_name) if body else None
    except SyntaxError as exc:
        at = f"line {exc.lineno + 1}: " if exc.lineno else ""  # the line of the magic is the first
        raise UsageError(f"The cell cannot run for each message: {at}{exc.msg}.") from exc
    if code is None:
        raise UsageError("The cell is empty. Write below the line what is to run for each message.")
    return FunctionType(code, shell.user_ns, _NAME)


def _assigned(text: str, file_name: str) -> set[str]:
    """Return the variables that a cell assigns; those of functions in it are their own."""
    symbols = symtable.symtable(text, file_name, "exec").get_symbols()
    return {symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()}


def _code(body: list[ast.stmt], assigned: list[str], parameters: Sequence[str], file_name: str) -> CodeType:
    module = ast.parse(f"def {_NAME}({', '.join(parameters)}): pass")
    function = module.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.body = [ast.Global(assigned), *body] if assigned else body
    compiled = compile(ast.fix_missing_locations(module), file_name, "exec")
    return next(part for part in compiled.co_consts if isinstance(part, CodeType))
