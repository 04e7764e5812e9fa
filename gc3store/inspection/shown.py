"""What all inert values have in common, and containers: their text is capped, and their comparison ends."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, Final, Literal, TypeVar

__all__ = [
    "Counter",
    "Deque",
    "Dict",
    "Elements",
    "FrozenSet",
    "List",
    "Namespace",
    "OrderedDict",
    "Pairs",
    "Set",
    "Shown",
    "Tuple",
    "formats",
    "is_asked_of_all",
]


def is_asked_of_all(name: str) -> bool:
    """Whether a name is what libraries ask any object for, and believe.

    ``__array_interface__`` is an address in memory to NumPy, and what has a ``_typ`` is a frame to pandas;
    and other records must not be read in order to answer.
    """
    return (
        (name.startswith("__") and name.endswith("__") and len(name) > 4)
        or name.startswith(("_repr_", "_ipython_"))
        or name == "_typ"
    )


_formatters: Final[dict[str, Callable[..., Any]]] = {}
_F = TypeVar("_F", bound=Callable[..., Any])


def formats(name: Literal["text", "html", "same"]) -> Callable[[_F], _F]:
    """Declare the function that gives values their text or HTML, or compares them."""

    def declare(function: _F) -> _F:
        _formatters[name] = function
        return function

    return declare


class Shown:
    """Capped text and HTML, and comparison that ends."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(_formatters["text"](self))

    def _repr_html_(self) -> str:
        return str(_formatters["html"](self))

    def __eq__(self, other: object) -> bool:
        return bool(_formatters["same"](self, other))

    def __ne__(self, other: object) -> bool:
        return not self == other


class List(Shown, list[Any]):
    """A list."""

    __slots__ = ()
    __hash__ = None


class Tuple(Shown, tuple[Any, ...]):
    """A tuple."""

    __slots__ = ()
    __hash__ = tuple.__hash__


class Dict(Shown, dict[Any, Any]):
    """A dictionary.

    Attributes
    ----------
    factory : Name, Inert or None
        What a `collections.defaultdict` would call for a missing key; nothing here does.
    """

    __slots__ = ("factory",)
    __hash__ = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.factory: Shown | None = None


class Set(Shown, set[Any]):
    """A set."""

    __slots__ = ()
    __hash__ = None


class FrozenSet(Shown, frozenset[Any]):
    """A frozen set."""

    __slots__ = ()
    __hash__ = frozenset.__hash__


class OrderedDict(Shown, collections.OrderedDict[Any, Any]):
    """A `collections.OrderedDict`."""

    __hash__ = None  # type: ignore[assignment]


class Counter(Shown, collections.Counter[Any]):
    """A `collections.Counter`."""

    __hash__ = None  # type: ignore[assignment]


class Deque(Shown, collections.deque[Any]):
    """A `collections.deque`."""

    __hash__ = None


class Namespace(Shown, SimpleNamespace):
    """A `types.SimpleNamespace`."""

    __hash__ = None

    def __getattribute__(self, name: str) -> Any:
        own = super().__getattribute__("__dict__")
        if name in own and is_asked_of_all(name) and name not in ("__dict__", "__class__"):
            raise AttributeError(
                f"Inspection does not show the attribute {name}; vars() of this object may have it."
            )
        return super().__getattribute__(name)


class Pairs(Shown):
    """A dictionary whose keys cannot all be hashed safely.

    Looking up a key goes through all of them.
    """

    __slots__ = ("pairs",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, pairs: Iterable[tuple[Any, Any]] = ()) -> None:
        self.pairs = list(pairs)

    @property
    def kind(self) -> str:
        """What it is: ``dict``, ``set`` or ``frozenset``."""
        return "dict"

    def __len__(self) -> int:
        return len(self.pairs)

    def __iter__(self) -> Iterator[Any]:
        return (key for key, _ in self.pairs)

    def __contains__(self, key: object) -> bool:
        return any(key is k or key == k for k in self)

    def __getitem__(self, key: Any) -> Any:
        for k, value in reversed(self.pairs):  # the last one wins, as in a dictionary
            if k is key or k == key:
                return value
        raise KeyError(key)

    def keys(self) -> list[Any]:
        """Return the keys."""
        return list(self)

    def values(self) -> list[Any]:
        """Return the values."""
        return [value for _, value in self.pairs]

    def items(self) -> list[tuple[Any, Any]]:
        """Return the pairs of keys and values."""
        return list(self.pairs)


class Elements(Pairs):
    """The elements of a set, as keys, where they cannot all be hashed safely."""

    __slots__ = ("_kind",)
    __hash__ = None

    def __init__(self, kind: Literal["set", "frozenset"]) -> None:
        super().__init__()
        self._kind = kind

    @property
    def kind(self) -> str:
        """``set`` or ``frozenset``."""
        return self._kind
