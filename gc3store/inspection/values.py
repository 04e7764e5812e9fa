"""The inert values that inspection yields.

What a pickle holds is shown as plain Python values where the value says everything
(numbers, texts, dates, containers), and otherwise as one of the classes here, which
know their names, arguments and state and can do nothing. Attributes and items are
found where the object itself would have them::

    job.execution.exitcode      result["energy"]      tasks[3]

Containers are lists, tuples and dictionaries in every respect but three: their text is
capped, their comparison ends on any input, and neither is recursive. A value from
another person may be ten levels of a list that holds itself ten times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta, tzinfo
from typing import Any, Final

from gc3store.inspection.shown import (
    Counter,
    Deque,
    Dict,
    Elements,
    FrozenSet,
    List,
    Namespace,
    OrderedDict,
    Pairs,
    Set,
    Shown,
    Tuple,
    is_asked_of_all,
)

__all__ = [
    "Counter",
    "Deque",
    "Dict",
    "Elements",
    "FrozenSet",
    "Inert",
    "List",
    "Name",
    "Namespace",
    "OrderedDict",
    "Pairs",
    "Parts",
    "Reference",
    "Set",
    "Shown",
    "Tuple",
    "Zone",
    "attributes",
    "class_of",
    "defined",
    "parts",
    "state_parts",
]


class Name(Shown):
    """A class or function, by name only.

    Attributes
    ----------
    module, name : str
        Where it would be imported from, and its (dotted) name there.
    """

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    @property
    def path(self) -> str:
        """Both, as ``module.name``."""
        return f"{self.module}.{self.name}" if self.module else self.name

    def __str__(self) -> str:
        return self.path

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Name):
            return self.module == other.module and self.name == other.name
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.module, self.name))


class Reference(Shown):
    """Another stored object.

    Attributes and items are those of that object, where a store is at hand to read it
    from (``follow``); they are read when they are asked for.

    Attributes
    ----------
    id : str
        Its ID.
    """

    __slots__ = ("_follow", "id")

    def __init__(self, id_: str, follow: Callable[[str], Any] | None = None) -> None:
        self.id = id_
        self._follow = follow

    def __getattr__(self, name: str) -> Any:
        if name in ("_follow", "id") or self._follow is None or is_asked_of_all(name):
            raise AttributeError(f"{self!r} is another stored object; inspect that one for {name!r}.")
        return getattr(self._follow(self.id), name)

    def __getitem__(self, key: Any) -> Any:
        if self._follow is None:
            raise KeyError(key)
        return self._follow(self.id)[key]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Reference):
            return self.id == other.id
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)


class Zone(tzinfo):
    """A time zone by name; it shifts nothing, since its rules are not in the pickle."""

    def __init__(self, key: str) -> None:
        self.key = key

    def utcoffset(self, when: Any) -> timedelta | None:
        """Return `None`: not known here."""
        return None

    dst = utcoffset

    def tzname(self, when: Any) -> str:
        """Return the zone's name."""
        return self.key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Zone) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Zone({self.key!r})"


@dataclass(slots=True, eq=False, repr=False)
class Parts:
    """What a pickle says of an object.

    Attributes
    ----------
    cls : Name, Inert or None
        Its class, or the function that was to make it.
    args, kwargs : tuple, dict
        What that was to be called with.
    states : list
        What was to be set on it afterwards, in this order, usually once: a dictionary of
        attributes, or a pair of dictionaries, of which the second is for ``__slots__``.
    items, pairs : list
        What was to be appended or added to it, and what was to be set as ``obj[key] = value``.
    function : bool
        Whether ``cls`` seems to be a function rather than a class.
    """

    cls: Any = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] | None = None
    states: list[Any] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    function: bool = False

    @property
    def state(self) -> Any:
        """The state that was set last; `None` if there is none."""
        return self.states[-1] if self.states else None


class Inert(Shown):
    """An object of a class that is not imported: its name, arguments and state.

    ``obj.name`` is an attribute of the object as it was saved, with one addition: where
    there is no ``name`` but a ``_name``, which a property of the class usually
    makes public, it is that. Of what was made of one argument alone, as a member of an `enum.Enum` is
    of its value, ``value`` is that argument. ``obj[key]`` is an item. `parts` tells everything else.
    """

    __slots__ = ("_Inert__attributes", "_Inert__parts")
    __hash__ = object.__hash__

    def __init__(self, parts_: Parts) -> None:
        object.__setattr__(self, "_Inert__parts", parts_)
        object.__setattr__(self, "_Inert__attributes", None)

    def __getattr__(self, name: str) -> Any:
        if is_asked_of_all(name):
            raise AttributeError(
                f"Inspection does not show the attribute {name}; vars() of this object may have it."
            )
        found = attributes(self)
        for candidate in (name, "_" + name):
            if candidate in found:
                return found[candidate]
        own: Parts = object.__getattribute__(self, "_Inert__parts")
        if name == "value" and len(own.args) == 1 and not own.states and not own.function:
            return own.args[0]
        raise AttributeError(f"The stored {class_of(self) or 'object'} has no attribute {name!r}.")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("What inspection shows cannot be changed; load the object to change it.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("What inspection shows cannot be changed; load the object to change it.")

    def __dir__(self) -> list[str]:
        return [name for name in attributes(self) if name.isidentifier()]

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return dict(attributes(self))

    def __getitem__(self, key: Any) -> Any:
        own: Parts = object.__getattribute__(self, "_Inert__parts")
        if own.pairs:
            return Pairs(own.pairs)[key]
        content = _content(own)
        if isinstance(key, (int, slice)) or isinstance(content, (dict, Pairs)):
            return content[key]
        raise KeyError(key)

    def __len__(self) -> int:
        return len(self.__items())

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(self.__items())

    def __contains__(self, value: object) -> bool:
        return any(value is v or value == v for v in self)

    def __items(self) -> Any:
        own: Parts = object.__getattribute__(self, "_Inert__parts")
        if own.pairs:
            return Pairs(own.pairs)
        content = _content(own)
        if own.states and not content:
            # As the object itself would say; and pandas 2 shows what has a length as a sequence, here an empty one.
            raise TypeError(f"The stored {class_of(self) or 'object'} has attributes and no items.")
        return content

    def __reduce__(self) -> Any:
        raise TypeError("What inspection shows cannot be pickled; load the object, or export its record.")


_NOTHING: Final[tuple[Any, ...]] = ()


def _content(own: Parts) -> Any:
    # Items that were appended, or else the content that the class was called with: the
    # fields of a named tuple, the one container that a subclass of list or dict was given.
    if own.items:
        return own.items
    args = own.args
    if not own.function and len(args) == 1 and isinstance(args[0], (list, tuple, dict, Pairs)):
        return args[0]
    return args if not own.function else _NOTHING


def parts(value: Any) -> Parts:
    """Return what a pickle says of an inert object.

    Examples
    --------
    >>> import pickle
    >>> from gc3store.inspection import read
    >>> parts(read(pickle.dumps(OSError(2, "No such file")))).args
    (2, 'No such file')
    """
    if isinstance(value, Inert):
        own: Parts = object.__getattribute__(value, "_Inert__parts")
        return own
    raise TypeError(f"{type(value).__name__} is not an inert object; it is shown as itself.")


def state_parts(value: Inert) -> list[dict[Any, Any] | Pairs]:
    """Return the dictionaries of attributes that were set on an object, in this order."""
    found: list[dict[Any, Any] | Pairs] | None = object.__getattribute__(value, "_Inert__attributes")
    if found is None:
        found = []
        for state in parts(value).states:
            for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
                if isinstance(part, (dict, Pairs)):
                    found.append(part)
        object.__setattr__(value, "_Inert__attributes", found)
    return found


class _Attributes(Mapping[str, Any]):
    """An object's attributes, where they are: many objects may share one state."""

    __slots__ = ("_parts",)

    def __init__(self, parts_: list[dict[Any, Any] | Pairs]) -> None:
        self._parts = parts_

    def __getitem__(self, name: str) -> Any:
        for part in reversed(self._parts):
            if name in part:
                return part[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        for part in self._parts:
            for name in part:
                if isinstance(name, str) and name not in seen:
                    seen.add(name)
                    yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return any(True for _ in self)


def attributes(value: Inert) -> Mapping[str, Any]:
    """Return an inert object's attributes by name, as its state has them."""
    return _Attributes(state_parts(value))


def defined(value: Any) -> Name | None:
    """Return the name of a class or function that is written into the pickle, as of notebooks.

    Such a one is not imported but made anew, by functions of cloudpickle.
    """
    cls = parts(value).cls if isinstance(value, Inert) else None
    if not isinstance(cls, Name) or not cls.module.startswith("cloudpickle"):
        return None
    args = parts(value).args
    if (
        cls.name in ("_make_skeleton_class", "_make_skeleton_enum")
        and len(args) > 3
        and isinstance(args[1], str)
    ):
        kwargs = args[3] if cls.name == "_make_skeleton_class" else {}
        module = kwargs.get("__module__") if isinstance(kwargs, dict) else None
        if cls.name == "_make_skeleton_enum" and len(args) > 4:
            module = args[4]
        return Name(module if isinstance(module, str) else "", args[1])
    if cls.name == "_make_function":
        found = attributes(value)
        module, name = found.get("__module__"), found.get("__qualname__", found.get("__name__"))
        return Name(module if isinstance(module, str) else "", name if isinstance(name, str) else "<lambda>")
    return None


def class_of(value: Inert) -> str:
    """Return the class of an inert object, as ``module.Class``; empty if it has none."""
    cls = parts(value).cls
    named = cls if isinstance(cls, Name) else defined(cls)
    return named.path if named is not None else ""
