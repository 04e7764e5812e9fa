"""Objects that pickle, and yet could not be unpickled: found before they are saved.

Pickle lets a class say how its instances are made again, and believes it. What it
does for classes that say nothing, or inherit it from a built-in type, fails for some. A
class is looked at once; only where it has one of the features that this happens to,
its instances are, each time one is written.
"""

from __future__ import annotations

import copyreg
import inspect
import types
from collections.abc import Callable
from itertools import chain, islice
from typing import Any, NamedTuple

__all__ = ["Check", "check_for"]

#: Takes what an object's ``__reduce_ex__`` returned; returns that, and why the object would not load
#: again, `None` if nothing is known against it.
Check = Callable[[Any], tuple[Any, str | None]]

_ARGUMENTS = "its constructor needs arguments that pickle does not keep; give the class a __reduce__ method"
_GETATTR = (
    "its __getattr__ fails as long as it has no attributes; let it raise AttributeError for __setstate__"
)
_SETATTR = "its __setattr__ does not take what is in its slots; give the class a __setstate__ method"
_ITEMS = (
    "its items are put in before its attributes are there, which fails; give the class a __reduce__ method"
)


def check_for(cls: type) -> Check | None:
    """Return a check for the instances of `cls`, `None` if there is nothing to fear.

    >>> class Parsed(Exception):
    ...     def __init__(self, line, column):
    ...         super().__init__(f"{line}:{column}")
    >>> error = Parsed(3, 14)
    >>> check_for(Parsed)(error.__reduce_ex__(5))[1]
    'its constructor needs arguments that pickle does not keep; give the class a __reduce__ method'
    >>> check_for(ValueError) is None
    True
    """
    if any(_is_own(cls, name) for name in ("__reduce_ex__", "__reduce__")):
        return None
    findings = []
    if _is_own(cls, "__new__") or (not _inherits_reduce(cls) and _is_own(cls, "__init__")):
        findings.append(_does_not_bind)
    if not hasattr(cls, "__setstate__"):
        if _is_own(cls, "__getattr__") or _is_own(cls, "__getattribute__"):
            findings.append(_does_not_look_up)
        if _is_own(cls, "__setattr__"):
            findings.append(_does_not_take_slots)
    if issubclass(cls, (list, dict)) and any(
        _is_own(cls, name) for name in ("append", "extend", "__setitem__")
    ):
        findings.append(_does_not_take_items)
    if not findings:
        return None

    def check(reduced: Any) -> tuple[Any, str | None]:
        if not isinstance(reduced, tuple):
            return reduced, None
        made = _Reduced(*reduced)
        if made.items is not None:
            made = made._replace(items=_Peeked(made.items))
        if made.pairs is not None:
            made = made._replace(pairs=_Peeked(made.pairs))
        return made, next(filter(None, (finding(made) for finding in findings)), None)

    return check


class _Reduced(NamedTuple):
    """How an object is made again."""

    function: Any
    args: Any
    state: Any = None
    items: Any = None
    pairs: Any = None


def _is_own(cls: type, name: str) -> bool:
    """Whether attribute `name` of `cls` was written in Python."""
    return isinstance(getattr(cls, name, None), types.FunctionType)


def _inherits_reduce(cls: type) -> bool:
    own: Any = cls.__reduce__
    return own is object.__reduce__


class _Peeked:
    """An iterator whose first item can be seen before it is passed on."""

    def __init__(self, items: Any) -> None:
        self.first = list(islice(items, 1))
        self._all = chain(self.first, items)

    def __iter__(self) -> Any:
        return self._all

    def __next__(self) -> Any:
        return next(self._all)


def _does_not_bind(reduced: _Reduced) -> str | None:
    function, args = reduced.function, reduced.args
    keywords: dict[str, Any] = {}
    if function is copyreg.__newobj__:  # type: ignore[attr-defined]
        cls, *args = args
        calls = ["__new__"]
    elif function is copyreg.__newobj_ex__:  # type: ignore[attr-defined]
        cls, args, keywords = args
        calls = ["__new__"]
    elif isinstance(function, type):
        cls = function
        calls = ["__new__", "__init__"]
    else:
        return None
    for name in calls:
        if _is_own(cls, name):
            try:
                inspect.signature(getattr(cls, name)).bind(cls, *args, **keywords)
            except TypeError:
                return _ARGUMENTS
    return None


def _does_not_look_up(reduced: _Reduced) -> str | None:
    if reduced.state is not None:
        try:
            hasattr(reduced.function(*reduced.args), "__setstate__")
        except Exception:  # noqa: BLE001  (whatever its own method raises, unpickling would meet it)
            return _GETATTR
    return None


def _does_not_take_slots(reduced: _Reduced) -> str | None:
    state = reduced.state
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
        try:
            made = reduced.function(*reduced.args)
            for name, value in state[1].items():
                setattr(made, name, value)
        except Exception:  # noqa: BLE001
            return _SETATTR
    return None


def _does_not_take_items(reduced: _Reduced) -> str | None:
    try:
        if reduced.items is not None and reduced.items.first:
            reduced.function(*reduced.args).extend(reduced.items.first)
        for key, value in reduced.pairs.first if reduced.pairs is not None else ():
            reduced.function(*reduced.args)[key] = value
    except Exception:  # noqa: BLE001
        return _ITEMS
    return None
