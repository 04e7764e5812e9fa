"""What a stream calls, by name: classes and functions, and the forms in which it asks for an object."""

from __future__ import annotations

from typing import Any, Final

from gc3store.inspection.machine.nodes import CALL, DICT, NAME, NAME2, STATE, named_by

__all__ = ["MAX_NAME", "callee", "name_of", "new_with_keywords", "path_of"]

#: The longest name and ID; what names are put together from is copied with each.
MAX_NAME: Final = 1000
#: So deep in each other may classes be whose name is put together by ``getattr``.
_MAX_NESTING: Final = 8


def name_of(raw: Any) -> tuple[str, ...] | None:
    """Return module and name, where `raw` is a global and nothing was done to it."""
    if type(raw) is not list or len(raw) != 3 or raw[2] not in (NAME, NAME2):
        return None
    return named_by(raw) if type(raw[0]) is str and type(raw[1]) is str else None


def path_of(raw: Any) -> tuple[str, str] | None:
    """Return module and dotted name, also of what ``getattr`` was to find in a class."""
    names: list[str] = []
    while True:
        found = name_of(raw)
        if found is not None:
            module, name = found
            path = module, ".".join((name, *reversed(names)))
            return path if sum(map(len, path)) < MAX_NAME else None
        if type(raw) is not list or len(raw) != 3 or raw[2] != CALL or len(names) == _MAX_NESTING:
            return None
        args = raw[1]
        if name_of(raw[0]) != ("builtins", "getattr") or type(args) is not tuple or len(args) != 2:
            return None
        raw, name = args
        if type(name) is not str or len(name) > MAX_NAME:
            return None
        names.append(name)


def callee(raw: Any) -> str:
    """Return the dotted name of a callable, also of one that ``getattr`` was to find; else ''."""
    found = path_of(raw)
    return ".".join(found) if found is not None else ""


def new_with_keywords(raw: Any) -> tuple[Any, tuple[Any, ...], Any] | None:
    """Return class, arguments and keywords, where `raw` is the call that makes an object of these.

    In protocols 2 and 3, which have no opcode for that, pickle writes a call of
    ``functools.partial(cls.__new__, cls, *args, **kwargs)`` without arguments. A partial function is
    made of a function alone, and told the rest by its state.
    """
    if type(raw) is not list or raw[2] != CALL or raw[1] != ():
        return None
    partial = raw[0]
    if type(partial) is not list or len(partial) != 4 or partial[2] != CALL:
        return None
    chunk = partial[3]
    if name_of(partial[0]) != ("functools", "partial") or type(chunk) is not list or chunk[2] != STATE:
        return None
    state = chunk[0]
    if type(state) is not tuple or len(state) != 4 or state[3] is not None:
        return None
    function, args, kwargs, _ = state
    if type(args) is not tuple or not args or (type(kwargs) is list and kwargs[2] != DICT):
        return None
    if type(kwargs) is not list and kwargs is not None:
        return None
    return (args[0], args[1:], kwargs) if _is_new(function) else None


def _is_new(function: Any) -> bool:
    """Whether something is the ``__new__`` of a class."""
    if type(function) is not list or len(function) != 3:
        return False
    found = name_of(function)
    if found is not None:
        return found[1].endswith(".__new__")
    args = function[1]
    return (
        function[2] == CALL
        and name_of(function[0]) == ("builtins", "getattr")
        and type(args) is tuple
        and len(args) == 2
        and args[1] == "__new__"
    )
