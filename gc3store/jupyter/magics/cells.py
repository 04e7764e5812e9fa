"""Running a cell's source and getting at what it returns."""

from __future__ import annotations

import ast
from typing import Any

from IPython.core.error import UsageError

__all__ = ["run_and_return"]


def run_and_return(shell: Any, source: str) -> Any:
    """Run the source of a cell in the shell's namespace, and return its last expression's value.

    What the cell raises goes to the caller, as from any cell.

    Raises
    ------
    IPython.core.error.UsageError
        If the last statement is no expression; then nothing was run.
    """
    __tracebackhide__ = True
    transformed = shell.transform_cell(source)
    # So that tracebacks and inspect.getsource find the lines.
    filename = shell.compile.cache(transformed, shell.displayhook.prompt_count, raw_code=source)
    tree = shell.compile.ast_parse(transformed, filename=filename)
    tree = shell.transform_ast(tree)
    if not tree.body or not isinstance(tree.body[-1], ast.Expr):
        raise UsageError("The cell returns nothing to save; end it with an expression, and nothing after.")
    last = ast.Expression(tree.body.pop().value)
    namespace = shell.user_ns
    exec(shell.compile(tree, filename, "exec"), namespace)
    return eval(shell.compile(last, filename, "eval"), namespace)
