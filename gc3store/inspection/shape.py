"""How values are walked and written: what text, HTML, comparison and the cells of tables read of a type.

There are few ways to walk: a scalar has nothing in it, a sequence has items, a mapping has keys, and so on. Each
is a class here. A type of values has a `Shape` of one of these classes, which `shaped` declares beside what builds
such values; nothing else knows the type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from gc3store.support.text import clean

__all__ = [
    "ARGUMENT",
    "ATTRIBUTE",
    "JSON_NAMES",
    "KEY",
    "POSITION",
    "SHAPES",
    "TIMES",
    "UNPLACED",
    "ContainerShape",
    "Entry",
    "Grid",
    "Json",
    "ScalarShape",
    "Shape",
    "class_path",
    "counted",
    "shape_of",
    "shaped",
]

TIMES: Final = " \N{MULTIPLICATION SIGN} "

#: How an entry is found in a value: an attribute, an item by key, an item by position, an argument that the
#: value was made of, or not at all.
ATTRIBUTE: Final = "."
KEY: Final = "{"
POSITION: Final = "["
ARGUMENT: Final = "("
UNPLACED: Final = ""


class Entry(NamedTuple):
    """One thing in a value: how it is found, its name, key or position, and the thing itself."""

    sort: str
    key: Any
    value: Any


@dataclass(frozen=True, slots=True)
class Json:
    """How values of exactly one type are written as JSON, and read back.

    Attributes
    ----------
    name : str
        What the type is called there.
    write : callable
        Called with a value, and a function that writes what is in it; returns `None` where JSON cannot
        hold the value exactly.
    read : callable
        Called with what was written, and a function that reads what is in it.
    """

    name: str
    write: Callable[[Any, Callable[[Any], Any]], Any]
    read: Callable[[Any, Callable[[Any], Any]], Any]


@dataclass(frozen=True, slots=True)
class Grid:
    """Values as a table.

    Attributes
    ----------
    rows, columns : int
        How many there are.
    head : callable
        Returns a column's label and type.
    label : callable
        Returns a row's label.
    cell : callable
        Returns the value in a row and a column.
    caption : str
        Which part of the whole it is; empty if it is the whole.
    """

    rows: int
    columns: int
    head: Callable[[int], tuple[Any, str]]
    label: Callable[[int], Any]
    cell: Callable[[int, int], Any]
    caption: str = ""


class Shape:
    """How values of a type are walked and written.

    Attributes
    ----------
    walk : str
        The way of walking through a value.
    kind : str
        Values of different kinds differ; those of one kind are compared by what is in them.
    json : Json or None
        How they are written in a cell of JSON.
    number : bool
        Whether a table aligns them as numbers.
    """

    walk: str = "scalar"
    kind: str = ""
    json: Json | None = None
    number: bool = False

    def class_path(self, value: Any) -> str:
        """Return the class that a value shows, as ``module.Class``; empty if it has none."""
        if value is None:
            return ""
        # A class of this library stands for the one that it is made of.
        bases = type(value).__mro__
        foreign = (b for b in bases if b is not object and b.__module__.partition(".")[0] != "gc3store")
        cls = next(foreign, bases[0])
        return f"{cls.__module__}.{cls.__qualname__}"

    def line(self, value: Any) -> str:
        """Return a value without what is in it, in one line."""
        try:
            return clean(repr(value))
        except Exception:  # noqa: BLE001 - numbers may refuse to be written
            return f"<{type(value).__name__}>"

    def plain(self, value: Any) -> str | None:
        """Return a value as people write it where its type is shown beside it; `None`: as any other."""
        return None

    def cell(self, value: Any) -> str | None:
        """Return a value as a table shows it; `None`: as any other."""
        return self.plain(value)

    def prose(self, value: Any) -> str | None:
        """Return the text that a long value unfolds to."""
        return None

    def label(self, value: Any) -> tuple[str, str]:
        """Return the type of a value, short and whole."""
        path = self.class_path(value)
        short, count = path.rpartition(".")[2], self.count(value)
        return f"{short} ({count:,})" if count else short, path if "." in path.removeprefix(
            "builtins."
        ) else ""

    def count(self, value: Any) -> int:
        """Return how many entries there are, or how long a long value is."""
        return 0

    def facts(self, value: Any) -> list[str] | None:
        """Return what is said of a value at the head of its tree; `None`: the value itself."""
        return None

    def title(self, value: Any) -> tuple[str, str]:
        """Return module and name at the head of a value's tree."""
        module, _, name = clean(self.class_path(value)).rpartition(".")
        return "" if module == "builtins" else module, name

    def brackets(self, value: Any) -> tuple[str, str] | None:
        """Return what stands around the entries of a value; `None` where it cannot have any."""
        return None

    def is_labelled(self, value: Any) -> bool:
        """Whether its label says all that its brackets say."""
        return False

    def separator(self, entry: Entry, value: Any) -> str:
        """Return what stands before an entry that is not the first."""
        return ", "

    def entries(self, value: Any) -> Iterator[Entry]:
        """Yield what is in a value."""
        return iter(())

    def grid(self, value: Any) -> Grid | None:
        """Return a value as a table, where it is one."""
        return None


class ScalarShape(Shape):
    """Has nothing in it.

    Parameters
    ----------
    line, plain, cell : callable, optional
        As the methods of the same name.
    json : Json, optional
        How it is written as JSON.
    number : bool
        Whether a table aligns it as a number.
    """

    def __init__(
        self,
        line: Callable[[Any], str] | None = None,
        plain: Callable[[Any], str] | None = None,
        cell: Callable[[Any], str] | None = None,
        *,
        json: Json | None = None,
        number: bool = False,
    ) -> None:
        self._line, self._plain, self._cell = line, plain, cell
        self.json, self.number = json, number

    def line(self, value: Any) -> str:
        """Return a value in one line."""
        return super().line(value) if self._line is None else self._line(value)

    def plain(self, value: Any) -> str | None:
        """Return a value as people write it."""
        return None if self._plain is None else self._plain(value)

    def cell(self, value: Any) -> str | None:
        """Return a value as a table shows it."""
        return self.plain(value) if self._cell is None else self._cell(value)


#: How the entries of containers are found, by the way of walking through these.
_ENTRIES: Final[dict[str, Callable[[Any], Iterator[Entry]]]] = {
    "sequence": lambda value: (Entry(POSITION, i, item) for i, item in enumerate(value)),
    "set": lambda value: (Entry(UNPLACED, "", element) for element in value),
    "mapping": lambda value: (Entry(KEY, key, item) for key, item in value.items()),
    "attributes": lambda value: (Entry(ATTRIBUTE, name, item) for name, item in vars(value).items()),
}


class ContainerShape(Shape):
    """Has entries of one sort.

    Parameters
    ----------
    walk : {"sequence", "set", "mapping", "attributes"}
        What it has: items in an order, elements that are their own keys, items by keys, or attributes.
    kind : str
        As the attribute.
    start, end : str
        What stands around the entries.
    json : Json, optional
        How it is written as JSON.
    """

    def __init__(self, walk: str, kind: str, start: str, end: str, json: Json | None = None) -> None:
        self.walk, self.kind, self.json = walk, kind, json
        self._around = start, end

    def count(self, value: Any) -> int:
        """Return how many entries there are."""
        return len(value if self.walk != "attributes" else vars(value))

    def facts(self, value: Any) -> list[str]:
        """Return how many entries there are."""
        return [counted(self.count(value), "item")]

    def brackets(self, value: Any) -> tuple[str, str]:
        """Return what stands around the entries; a tuple of one has a comma."""
        start, end = self._around
        return start, f",{end}" if self.kind == "tuple" and len(value) == 1 else end

    def entries(self, value: Any) -> Iterator[Entry]:
        """Yield what is in a value."""
        return _ENTRIES[self.walk](value)


def counted(count: int, noun: str) -> str:
    """Return a number of things.

    >>> counted(1, "row"), counted(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


#: The shapes of types; those of their subclasses too, where these have none of their own.
SHAPES: Final[dict[type, Shape]] = {}
#: How types are written as JSON, by what they are called there.
JSON_NAMES: Final[dict[str, Json]] = {}
_found: dict[type, Shape] = {}
_DEFAULT: Final = ScalarShape()
_T = TypeVar("_T", bound=type)


def shaped(shape: Shape, *types: type) -> Callable[[_T], _T]:
    """Declare the shape of a class that is defined here, or of `types`."""
    SHAPES.update(dict.fromkeys(types, shape))
    if shape.json is not None:
        JSON_NAMES[shape.json.name] = shape.json

    def declare(cls: _T) -> _T:
        SHAPES[cls] = shape
        return cls

    return declare


def shape_of(value: Any) -> Shape:
    """Return how a value is walked and written."""
    type_ = type(value)
    shape = _found.get(type_)
    if shape is None:
        shape = next((SHAPES[base] for base in type_.__mro__ if base in SHAPES), _DEFAULT)
        if len(_found) < 1000:
            _found[type_] = shape
    return shape


def class_path(value: Any) -> str:
    """Return the class of an inert or plain value, as ``module.Class``; empty if it has none.

    Examples
    --------
    >>> import pickle, fractions
    >>> from gc3store.inspection import read
    >>> class_path(read(pickle.dumps(OSError(2))))
    'builtins.OSError'
    """
    return shape_of(value).class_path(value)
