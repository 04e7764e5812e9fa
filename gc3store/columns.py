"""User columns: values of stored objects that the catalogue keeps, to filter and sort on.

A column is a path (`gc3store.paths`) or a function of the object. It is evaluated when an object
is saved; what it gives stands in the record's catalogue entry, beside size and state. The store
keeps the names and paths, so that the same columns are there, and are filled, when it is opened again.
It cannot keep functions.
"""

from __future__ import annotations

import difflib
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import cloudpickle

from gc3store.errors import ColumnWarning, InvalidQueryError, OptionError
from gc3store.paths import MISSING, follow, parse
from gc3store.persistable import unpickled
from gc3store.query import ALIASES, parse_time
from gc3store.record import FIELDS, Record, from_microseconds, to_microseconds
from gc3store.support.stacklevel import caller_stacklevel

__all__ = [
    "KINDS",
    "Column",
    "Failures",
    "Function",
    "UserColumns",
    "ValueKind",
    "columns_from_json",
    "columns_to_json",
    "kind_of_value",
    "merged",
    "plain",
]

Source = str | Callable[[Any], Any]

#: Longest string that a column holds, in characters: a catalogue is no place for files.
LONGEST: Final = 1000

_LONGEST_NAME: Final = 60
#: Names with another meaning wherever columns are named.
_RESERVED: Final = frozenset(
    {*FIELDS, *ALIASES, *Record.__dataclass_fields__, "class_name", "query", "order", "offset", "limit"}
    | {"names", "again", "explicit"}
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes
    ----------
    name : str
        Its name in the catalogue.
    path : str or None
        Where in an object its value is.
    function : callable or None
        What gives its value, where there is no path. `None` as well: the store's column was filled
        by a function that is not at hand.
    """

    name: str
    path: str | None = None
    function: Callable[[Any], Any] | None = None

    @property
    def can_fill(self) -> bool:
        """Whether it can be evaluated."""
        return self.path is not None or self.function is not None

    def value_of(self, obj: Any) -> Any:
        """Return its value for an object, as `plain` does; raise what evaluating raises."""
        if self.path is not None:
            return plain(follow(parse(self.path), obj))
        return None if self.function is None else plain(self.function(obj))


def plain(value: Any) -> Any:
    """Return a value as the catalogue keeps it: a boolean, a number, a string, a time, or `None`.

    Integers beyond 64 bits become floats, durations seconds; NaN is a missing value. Times without a
    zone are local.

    Raises
    ------
    ValueError
        If a column cannot hold it.

    Examples
    --------
    >>> plain(timedelta(minutes=2)), plain(float("nan"))
    (120.0, None)
    """
    if hasattr(value, "dtype") and getattr(value, "ndim", None) == 0 and value.dtype.kind in "biuf":
        value = value.item()  # a scalar of NumPy
    if value is None or value is MISSING:
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, int):
        value = int(value)
        return value if -(2**63) <= value < 2**63 else _finite(float(value))
    if isinstance(value, (float, Decimal, Fraction)):
        return _finite(float(value))
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, datetime):
        # As one of datetime's own, with microseconds; pandas has a value for a missing time (NaT).
        return None if value != value else from_microseconds(to_microseconds(value.astimezone(UTC)))
    if isinstance(value, date):
        return parse_time(value)
    raise ValueError(
        f"{type(value).__name__} is not a type that a column holds (booleans, numbers, strings, times)"
    )


def _finite(value: float) -> float | None:
    if math.isinf(value):
        raise ValueError("an infinite number is more than a column holds")
    return None if math.isnan(value) else value


def _text(value: str) -> str:
    if len(value) > LONGEST:
        raise ValueError(f"a string of {len(value)} characters is too long for a column, {LONGEST} fit")
    value.encode()
    return value


# Values as entries and databases keep them.


@dataclass(frozen=True, slots=True)
class ValueKind:
    """A kind of value that a user column can hold.

    Attributes
    ----------
    name : str
        What it is called.
    order : int
        Where values of this kind come if a column has several; databases know the kind by this number.
    types : tuple of type
        The types that `plain` returns for it.
    to_json, from_json : callable
        How JSON has a value, and back.
    amount : callable or None
        What a value is compared by, a number; `None` where it is compared as a string.
    """

    name: str
    order: int
    types: tuple[type, ...]
    to_json: Callable[[Any], Any]
    from_json: Callable[[Any], Any]
    amount: Callable[[Any], int | float] | None


def _as_it_is(value: Any) -> Any:
    return value


#: The kinds of values. In JSON a time stands in a list, which tells it from a number.
KINDS: Final[tuple[ValueKind, ...]] = (
    ValueKind("number", 0, (bool, int, float), _as_it_is, _as_it_is, _as_it_is),
    ValueKind(
        "time",
        1,
        (datetime,),
        lambda value: [to_microseconds(value)],
        lambda value: from_microseconds(value[0]),
        to_microseconds,
    ),
    ValueKind("string", 2, (str,), _as_it_is, _as_it_is, None),
)
_BY_TYPE: Final[Mapping[type, ValueKind]] = {cls: kind for kind in KINDS for cls in kind.types}
_BY_JSON: Final[Mapping[type, ValueKind]] = {**_BY_TYPE, list: KINDS[1]}


def kind_of_value(value: Any) -> ValueKind:
    """Return the kind of a value that `plain` returned, but for `None`.

    >>> kind_of_value(1.5).name, kind_of_value("text").name
    ('number', 'string')
    """
    kind = _BY_TYPE.get(type(value))
    if kind is not None:
        return kind
    return next(kind for kind in KINDS if isinstance(value, kind.types))


def columns_to_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of user columns as JSON has them, without those that are missing."""
    return {name: kind_of_value(value).to_json(value) for name, value in values.items() if value is not None}


def columns_from_json(found: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the values of all user columns in `names`, `None` for those that are missing.

    >>> columns_from_json({"energy": -1.75, "other": 1}, ["energy", "converged"])
    {'energy': -1.75, 'converged': None}
    """
    values = {name: found.get(name) for name in names}
    for name, value in values.items():
        if type(value) is list:
            values[name] = _BY_JSON[list].from_json(value)
    return values


def merged(old: Mapping[str, Any], new: Mapping[str, Any], *, again: bool) -> dict[str, Any]:
    """Return the values of a record that gets `new` ones; what is there stays unless `again`."""
    if again:
        return {**old, **new}
    return {**new, **{name: value for name, value in old.items() if value is not None}}


# The columns of a store.


def _checked(given: Mapping[str, Source]) -> dict[str, Column]:
    if not isinstance(given, Mapping):
        raise OptionError("columns are names with paths: write columns={'energy': 'result.energy'}.")
    found: dict[str, Column] = {}
    for name, source in given.items():
        if not isinstance(name, str) or not name.isidentifier() or len(name) > _LONGEST_NAME:
            raise OptionError(
                f"{name!r} cannot be the name of a column; take letters, digits and underscores."
            )
        if name in _RESERVED:
            raise OptionError(f"A column cannot be called {name!r}, which has another meaning here.")
        if isinstance(source, str):
            try:
                parse(source)
            except InvalidQueryError as error:
                raise OptionError(f"The column {name!r} cannot be: {error}") from error
            found[name] = Column(name, source)
        elif callable(source):
            found[name] = Column(name, None, source)
        else:
            raise OptionError(
                f"The column {name!r} is a path or a function of an object, not {type(source).__name__}."
            )
    return found


class Function:
    """A function of a column, pickled by value where it cannot be imported by name."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, obj: Any) -> Any:
        """Return what the function gives."""
        return self.function(obj)

    def __reduce__(self) -> tuple[Any, ...]:
        return unpickled, (cloudpickle.dumps(self.function),)


class UserColumns:
    """The columns of one store, as one store object knows them.

    Parameters
    ----------
    given : mapping, optional
        What `make_store` was given: by name, a path or a function.

    Attributes
    ----------
    are_there : bool
        Whether there are any.
    has_pending : bool
        Whether the store does not have all of them yet.
    """

    def __init__(self, given: Mapping[str, Source] | None = None) -> None:
        self._given = _checked(given or {})
        self._adopted: dict[str, Column] = {}
        self._stored: dict[str, str | None] = {}
        self._all: dict[str, Column] = {}
        self._told = False
        self._set(dict(self._given))

    def _set(self, columns: dict[str, Column]) -> None:
        self._all = columns
        self.are_there = bool(columns)
        self.has_pending = self.are_there and self.definitions != self._stored

    @property
    def names(self) -> tuple[str, ...]:
        """Their names: those of the store first, then those that it will get."""
        return tuple(self._all)

    @property
    def portable(self) -> dict[str, Any]:
        """What `make_store` was given, in a form that any pickle can hold."""
        return {name: column.path or Function(column.function) for name, column in self._given.items()}

    @property
    def definitions(self) -> dict[str, str | None]:
        """By name, the path; `None` for what a function fills."""
        return {name: column.path for name, column in self._all.items()}

    def defined(self) -> None:
        """Note that the store has them now."""
        self._stored = self.definitions
        self.has_pending = False

    def known(self, values: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Return those of a record's values that the store has columns for."""
        if not values:
            return {}
        return {name: value for name, value in values.items() if name in self._all}

    def pending(self) -> dict[str, str | None]:
        """Return the definitions that the store does not have yet."""
        return {
            name: path
            for name, path in self.definitions.items()
            if name not in self._stored or self._stored[name] != path
        }

    def learn(self, stored: Mapping[str, str | None]) -> None:
        """Take note of the columns that the store has."""
        self._stored = dict(stored)
        columns = {name: Column(name, path) for name, path in sorted(stored.items())}
        self._set(columns | self._adopted | self._given)
        for name, path in self.pending().items():
            if name in stored:
                warnings.warn(
                    f"The column {name!r} was {_shown(stored[name])} and is {_shown(path)} from now on; "
                    f"fill_columns([{name!r}], again=True) records it anew for what was saved before.",
                    ColumnWarning,
                    stacklevel=caller_stacklevel(),
                )

    def adopt(self, definitions: Mapping[str, str | None]) -> None:
        """Take over columns of another store, but for those whose names are taken."""
        for name, path in definitions.items():
            if name not in self._all and name.isidentifier() and name not in _RESERVED:
                self._adopted[name] = Column(name, path)
        self._set(self._all | self._adopted)

    def chosen(self, names: Iterable[str] | None) -> list[Column]:
        """Return the columns of the given names, or all that can be filled.

        Raises
        ------
        OptionError
            If there is no such column, or no way to fill it.
        """
        if names is None:
            return [column for column in self._all.values() if column.can_fill]
        found = []
        for name in [names] if isinstance(names, str) else names:
            if name not in self._all:
                near = difflib.get_close_matches(str(name), self._all, n=1)
                hint = (
                    f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self._all) or 'none'}."
                )
                raise OptionError(f"There is no column {name!r}; {hint}")
            if not self._all[name].can_fill:
                raise OptionError(
                    f"The column {name!r} is filled by a function, which a store cannot keep; open the store "
                    f"with it: make_store(..., columns={{{name!r}: ...}})."
                )
            found.append(self._all[name])
        return found

    def values_of(self, obj: Any, failures: Failures, what: Any) -> dict[str, Any]:
        """Return the values of all columns for an object, which is `what` among the `failures`."""
        values: dict[str, Any] = {}
        for column in self._all.values():
            try:
                value = column.value_of(obj)
            except Exception as error:  # noqa: BLE001  (whatever it is, the object is saved)
                failures.add(column.name, what, error)
            else:
                if value is not None:
                    values[column.name] = value
        return values

    def unfilled(self) -> list[str]:
        """Return, the first time, the names of those whose functions are not at hand."""
        told, self._told = self._told, True
        return [] if told else [column.name for column in self._all.values() if not column.can_fill]


def _shown(path: str | None) -> str:
    return "a function" if path is None else repr(path)


class Failures:
    """Columns that could not be evaluated: of each the first object, why, and how many.

    Attributes
    ----------
    unfilled : list of str
        Columns whose functions are not at hand.
    """

    def __init__(self) -> None:
        self.unfilled: list[str] = []
        self._found: dict[str, tuple[Any, str]] = {}
        self._counts: Counter[str] = Counter()

    def add(self, name: str, what: Any, error: Exception) -> None:
        """Note that the column `name` of `what`, an ID or a draft, stays empty."""
        self._counts[name] += 1
        if name not in self._found:
            # As text: an error would keep alive what it was raised in.
            plainly = type(error) is ValueError and str(error)
            self._found[name] = what, plainly or f"{type(error).__name__}: {error}"

    def report(self) -> None:
        """Warn, once for each column."""
        if self.unfilled:
            warnings.warn(
                f"The columns {', '.join(self.unfilled)} are filled by functions, which a store cannot keep: what "
                f"is saved now has no value there. Open the store with them: make_store(..., columns=...).",
                ColumnWarning,
                stacklevel=caller_stacklevel(),
            )
        for name, (what, reason) in self._found.items():
            more = f" (and of {self._counts[name] - 1} more)" if self._counts[name] > 1 else ""
            warnings.warn(
                f"The column {name!r} of {getattr(what, 'id', what)}{more} stays empty: {reason.rstrip('.'):.300}.",
                ColumnWarning,
                stacklevel=caller_stacklevel(),
            )
