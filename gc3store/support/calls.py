"""Calls from outside: what is wrong with their arguments, and where their warnings point."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any

from gc3store.errors import OptionError

__all__ = ["CheckedCalls", "outside"]


class CheckedCalls:
    """A base class below which calls that do not fit a method raise an error of the tree.

    Python's own `TypeError` is one already, but no `StoreError`, and says nothing of what was meant.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, method in list(vars(cls).items()):
            if isinstance(method, FunctionType) and (name == "__init__" or not name.startswith("_")):
                setattr(cls, name, _checked(method))


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                raise  # the call itself was in order
            raise _misfit(method, kwargs, error) from None

    return checked


def _misfit(method: Callable[..., Any], kwargs: dict[str, Any], error: TypeError) -> OptionError:
    parameters = inspect.signature(method).parameters.values()
    takes = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    what = f"{method.__name__}()" if method.__name__ != "__init__" else method.__qualname__.partition(".")[0]
    for name in kwargs:
        if name not in {p.name for p in parameters}:
            near = difflib.get_close_matches(name, takes, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(takes) or 'none'}."
            return OptionError(f"{what} has no option {name!r}; {hint}", option=name)
    return OptionError(f"{what} cannot be called like this: {error}.")


def outside() -> int:
    """Return the `stacklevel` with which a warning points at who called this package."""
    level = found = 1
    frame = sys._getframe(1)
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] == "gc3store" and not name.startswith("gc3store.testing"):
            found = level + 1
        frame, level = frame.f_back, level + 1
    return found
