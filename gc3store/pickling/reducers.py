"""What classes are to a store, and how their instances are reduced for a pickle."""

from __future__ import annotations

import copyreg
import sys
import types
import weakref
from operator import methodcaller
from typing import Any

from gc3store.errors import SaveError
from gc3store.persistable import IDENTITY, Persistable, construct, new

__all__ = [
    "PROTOCOL",
    "accepts_id",
    "for_shells",
    "inherits",
    "is_persistable",
    "may_have_ids",
    "plain_reduce",
    "reduce_leaf",
    "reduce_tagged",
    "tag_class",
    "without_ids",
]

#: The pickle protocol of all payloads.
PROTOCOL = 5

#: How an instance is reduced that does not concern us, without a call of Python code.
plain_reduce = methodcaller("__reduce_ex__", PROTOCOL)


def is_persistable(cls: type) -> bool:
    """Whether instances of `cls` are records of their own: ours, and those of GC3Pie."""
    if issubclass(cls, Persistable):
        return True
    return any(base.__name__ == "Persistable" and base.__module__ in _FOREIGN for base in cls.__mro__)


_FOREIGN = ("gc3libs.persistence.serialization",)


def accepts_id(cls: type) -> bool:
    """Whether plain instances of `cls` are told their ID in instance attributes.

    Those with an instance dict and object's own ``__setattr__``, of no standard-library
    type: elsewhere setting an attribute could mean something, as in a data frame.
    """
    return (
        inherits(cls, "__setattr__", object)
        and cls.__dictoffset__ != 0
        and not issubclass(cls, (type, types.FunctionType, types.ModuleType))
        and not any(hasattr(cls, name) for name in ("persistent_id", "_id"))
        # `__main__` counts as a standard module, yet what a notebook defines is the user's own
        and (cls.__module__ == "__main__" or cls.__module__.partition(".")[0] not in sys.stdlib_module_names)
    )


def inherits(cls: type, name: str, base: type) -> bool:
    """Whether attribute `name` of `cls` is the one that `base` has."""
    return getattr(cls, name) is getattr(base, name)


#: Classes whose instances were given an ID, which has to be left out of payloads; and how often
#: one was added, by which encoders know that what they have cached of classes is out of date.
tagged: weakref.WeakSet[type] = weakref.WeakSet()
generation = 0


def tag_class(cls: type) -> None:
    """Note that instances of `cls` may carry our ID attributes, which payloads must not."""
    global generation
    if cls not in tagged:
        tagged.add(cls)
        generation += 1


def may_have_ids(cls: type) -> bool:
    """Whether our ID attributes are left out of what is written of instances of `cls`."""
    return cls in tagged or is_persistable(cls)


def without_ids(state: Any) -> Any:
    """Return a state without our ID attributes."""
    # Ours are there only as a pair; a user's own `_id` alone is left in place.
    if type(state) is dict and IDENTITY not in state and "persistent_id" not in state:
        return state
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], dict):
        return (without_ids(state[0]), state[1])
    if isinstance(state, dict):
        id_ = state.get("persistent_id")
        if IDENTITY in state or id_ is not None:
            state = dict(state)
            state.pop(IDENTITY, None)
            if id_ is not None:
                del state["persistent_id"]
                if state.get("_id") == id_:
                    del state["_id"]
    return state


_OBJECT: Any = object
_ERROR: Any = BaseException


def _reduce(obj: Any) -> Any:
    reducer = copyreg.dispatch_table.get(type(obj))
    return reducer(obj) if reducer is not None else obj.__reduce_ex__(PROTOCOL)


def reduce_tagged(obj: Any) -> Any:
    """Reduce an instance of a class that may carry an ID, and leave the ID out."""
    reducer = copyreg.dispatch_table.get(type(obj))
    reduced: Any = obj.__reduce_ex__(PROTOCOL) if reducer is None else reducer(obj)
    if isinstance(reduced, tuple) and len(reduced) > 2:
        state = reduced[2]
        if type(state) is dict and state and "persistent_id" not in state and IDENTITY not in state:
            return reduced  # as most are
        reduced = (*reduced[:2], _state_without_ids(obj, reduced[2]), *reduced[3:])
    return reduced


def _state_without_ids(obj: Any, given: Any) -> Any:
    """Return the state that an object has, as it was before it was given an ID."""
    state = without_ids(given)
    if not (state == {} if type(state) is dict else isinstance(state, tuple)):
        return state
    cls: Any = type(obj)
    is_error = issubclass(cls, BaseException) and cls.__reduce__ is _ERROR.__reduce__
    if not (_says_nothing(cls) or (is_error and cls.__reduce_ex__ is _OBJECT.__reduce_ex__)):
        return state
    # Where there are no attributes, `object` says that there is no state, not that it is empty; an
    # exception does so as long as its attributes were never looked for.
    if state is not given and isinstance(state, tuple):
        return (state[0] or None, *state[1:])
    return None if type(state) is dict else state


def _says_nothing(cls: Any) -> bool:
    """Whether a class leaves it to `object` how its instances are reduced."""
    return (
        cls.__reduce_ex__ is _OBJECT.__reduce_ex__
        and cls.__reduce__ is _OBJECT.__reduce__
        and cls.__getstate__ is _OBJECT.__getstate__
    )


def reduce_leaf(obj: Any) -> tuple[Any, ...]:
    """Return how a Persistable that refers to no other is written at the root of its payload."""
    reducer = copyreg.dispatch_table.get(type(obj))
    reduced: Any = obj.__reduce_ex__(PROTOCOL) if reducer is None else reducer(obj)
    if isinstance(reduced, str):
        raise SaveError(f"A {type(obj).__name__} that pickles as the global {reduced!r} cannot be a record.")
    if len(reduced) > 2:
        given = reduced[2]
        has_no_id = type(given) is dict and given and "persistent_id" not in given and IDENTITY not in given
        if has_no_id and isinstance(obj, Persistable):
            return reduced  # type: ignore[no-any-return]
        state = _state_without_ids(obj, given)
        if not isinstance(obj, Persistable):
            state = _as_saved(state)
        if state is not given:
            return (reduced[0], reduced[1], state, *reduced[3:])
    return reduced  # type: ignore[no-any-return]


def _as_saved(state: Any) -> Any:
    """Return the state of an object of GC3Pie without its mark that it must be saved."""
    if isinstance(state, dict) and (state.get("changed") is True or state.get("_changed") is True):
        return {k: False if k in ("changed", "_changed") else value for k, value in state.items()}
    return state


def for_shells(reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return how a Persistable that refers to others is written at the root of its payload.

    In a form whose first step makes the empty instance by a function of ours, so that
    a reader can put one there that it made before: see `make_shell`.
    """
    function, args, *rest = reduced
    if function is copyreg.__newobj__:  # type: ignore[attr-defined]
        return (new, args, *rest)
    return (construct, (function, *args), *rest)
