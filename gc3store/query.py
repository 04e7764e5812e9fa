"""Questions about a catalogue.

A `Query` says which entries are wanted and in which order; stores that can answer it themselves (SQL)
translate it, all others let `Query.apply` do the work.
"""

from __future__ import annotations

import difflib
import heapq
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, Literal, Self

from gc3store.errors import InvalidQueryError, UnknownFieldError
from gc3store.record import FIELDS, Record

__all__ = ["ALIASES", "Condition", "Query", "parse_size", "parse_time"]

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "in"]


class Written(str):
    """A value for a user column as a person wrote it: maybe a number, a time or a boolean."""

    __slots__ = ()

    def meanings(self, op: Operator) -> list[tuple[Operator, Any]]:
        """Return what it can mean, each with the comparison to be made then.

        >>> Written("7.50").meanings("<"), Written("7.50").meanings("=")
        ([('<', 7.5)], [('=', '7.50'), ('=', 7.5)])
        """
        text = self.strip()
        found: list[tuple[Operator, Any]] = []
        for convert in (int, float, _truth):
            try:
                found.append((op, convert(text)))
                break
            except ValueError:
                continue
        with suppress(InvalidQueryError):
            found.append((_of_age(op, text), parse_time(text)))
        # More than seven is not a string that comes after "7".
        return found if op != "=" and (found or _AGE.fullmatch(text)) else [(op, str(self)), *found]


def _truth(text: str) -> bool:
    return bool(("false", "true").index(text.lower()))


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on one field.

    Parameters
    ----------
    field : str
        One of `FIELDS`, or a user column.
    op : {"=", "!=", "<", "<=", ">", ">=", "in"}
        How to compare. A missing value satisfies only ``= None`` and ``!= something``.
        For ``tags``, ``=`` means "has the tag" and ``in`` "has one of the tags".
        For ``cls``, a name without dots also matches a class of that name in any module.
    value : Any
        What to compare with; for ``in`` a tuple. In a user column a number is compared with numbers, a
        string with strings and a time with times; a `Written` string with all that it can mean.
    """

    field: str
    op: Operator
    value: Any

    def meanings(self) -> tuple[Condition, ...]:
        """Return the conditions of which one must hold: more than one if the value was `Written`."""
        if not isinstance(self.value, Written):
            return (self,)
        return tuple(Condition(self.field, op, value) for op, value in self.value.meanings(self.op))

    def test(self) -> Callable[[Record], bool]:
        """Return the function that tells whether a record satisfies the condition."""
        if self.op == "!=":
            equal = Condition(self.field, "=", self.value).test()
            return lambda record: not equal(record)
        parts = [Condition(self.field, "=", v) for v in self.value] if self.op == "in" else [self]
        single = [meaning for part in parts for meaning in part.meanings()]
        if len(single) == 1:
            return single[0]._holds
        return lambda record: any(condition._holds(record) for condition in single)

    def _holds(self, record: Record) -> bool:
        found = record[self.field] if self.field in FIELDS else record.columns.get(self.field)
        if self.op == "=":
            return self._equal(found, self.value)
        if found is None or self.value is None:
            return False
        try:
            return _COMPARE[self.op](found, self.value)
        except TypeError:
            return False

    def _equal(self, found: Any, value: Any) -> bool:
        if self.field == "tags":
            return value in found if value is not None else not found
        if self.field == "cls" and isinstance(value, str) and "." not in value:
            return bool(found.rpartition(".")[2] == value)
        return bool(found == value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which entries of the catalogue, in which order.

    Attributes
    ----------
    conditions : tuple of Condition
        All must hold.
    words : tuple of str
        Each must occur, in upper or lower case, in the ID, the name, the class or a tag.
    order : tuple of (str, bool)
        Fields to sort by, each with whether it is descending. Missing values come
        last either way; ties are broken by the number in the ID, so that pages never
        repeat or skip an entry. Empty: by that number alone, the oldest first.
    offset, limit : int, int or None
        Which part of the result.

    Examples
    --------
    >>> query = Query.parse("class:IsingRun state:TERMINATED size:>4kB 16x16")
    >>> query.conditions[0], query.words
    (Condition(field='cls', op='=', value='IsingRun'), ('16x16',))
    """

    conditions: tuple[Condition, ...] = ()
    words: tuple[str, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    offset: int = 0
    limit: int | None = None

    @classmethod
    def build(
        cls,
        filters: Mapping[str, Any] | None = None,
        *,
        query: str | Query | None = None,
        columns: Iterable[str] = (),
        order: str | Iterable[str] | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> Query:
        """Return the query that keyword filters, as of ``store.list(**filters)``, mean.

        Parameters
        ----------
        filters : mapping of str to Any
            A field or user column, and the value it must have; a list, tuple or set
            means any of its values, `None` a missing value. For a user column a string means all that
            it can be read as: ``"12"`` the number as well.
        query : str or Query, optional
            More conditions, in the syntax of `parse`.
        columns : iterable of str
            The store's user columns.
        order : str or iterable of str, optional
            Fields to sort by; ``-size`` sorts descending.
        offset, limit : int, int or None
            Which part of the result.

        Raises
        ------
        UnknownFieldError
            If a field does not exist; the message suggests one that does.
        InvalidQueryError
            If a value does not fit its field.
        """
        columns = tuple(columns)
        base = query if isinstance(query, Query) else cls.parse(query or "", columns=columns)
        conditions = list(base.conditions)
        for name, value in (filters or {}).items():
            field_ = _field(name, columns)
            if isinstance(value, (list, tuple, set, frozenset)):
                conditions.append(Condition(field_, "in", tuple(_coerce(field_, v) for v in value)))
            else:
                conditions.append(Condition(field_, "=", _coerce(field_, value)))
        sort = base.order
        if order is not None:
            names = [order] if isinstance(order, str) else list(order)
            sort = tuple((_field(n.removeprefix("-"), columns), n.startswith("-")) for n in names)
        for what, number in (("offset", offset), ("limit", limit)):
            if number is not None and (not isinstance(number, int) or number < 0):
                raise InvalidQueryError(f"{what} must be a number of entries, not {number!r}.")
        return cls(conditions=tuple(conditions), words=base.words, order=sort, offset=offset, limit=limit)

    @classmethod
    def parse(cls, text: str, *, columns: Iterable[str] = ()) -> Query:
        """Return the query that a query string means.

        Words are searched for; ``field:value`` tokens are conditions, with
        ``<``, ``<=``, ``>``, ``>=`` or ``!=`` before the value, and ``,`` between
        alternatives. Sizes read ``1MB`` and ages ``7d`` (s, min, h, d, w, y):
        ``saved:<7d`` is what was saved in the last seven days. User columns are compared
        as what their values are: ``energy:<-1.5``, ``converged:true``. Quotes hold
        words together. ``class``, ``tag`` and ``saved`` mean ``cls``, ``tags``, ``modified``.

        Raises
        ------
        InvalidQueryError
            If a token names no field or its value does not fit; `token` is the culprit.
        """
        columns = tuple(columns)
        conditions: list[Condition] = []
        words: list[str] = []
        for token in re.findall(r'(?:[^\s"]|"[^"]*"?)+', text):
            name, colon, value = token.partition(":")
            if not colon or '"' in name or not name.isidentifier():
                words.append(token.replace('"', ""))
                continue
            try:
                conditions.append(_condition(_field(name, columns), value.replace('"', "")))
            except InvalidQueryError as error:
                error.__dict__["token"] = token
                raise
        return cls(conditions=tuple(conditions), words=tuple(words))

    def but(self, **changes: Any) -> Self:
        """Return a copy with some attributes changed."""
        return replace(self, **changes)

    def test(self) -> Callable[[Record], bool]:
        """Return the function that tells whether a record satisfies all conditions and contains all words."""
        conditions = [condition.test() for condition in self.conditions]
        words = [word.casefold() for word in self.words]

        def holds(record: Record) -> bool:
            if not all(condition(record) for condition in conditions):
                return False
            if words:
                text = "\0".join((record.id, record.name or "", record.cls, *record.tags)).casefold()
                return all(word in text for word in words)
            return True

        return holds

    def matches(self, record: Record) -> bool:
        """Whether `record` satisfies all conditions and contains all words."""
        return self.test()(record)

    def apply(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield the `records` that the query asks for, in its order.

        For stores without a query engine of their own. `records` must come in the
        order of their numbers.
        """
        found: Iterable[Record] = filter(self.test(), records)
        if self.order:
            stop = None if self.limit is None else self.offset + self.limit
            if stop is not None and stop <= 1000 and len(self.order) == 1:
                pick = heapq.nsmallest if not self.order[0][1] else _nlargest_first_seen
                found = pick(stop, found, key=_sort_key(*self.order[0]))
            else:
                found = list(found)
                for name, descending in reversed(self.order):
                    found.sort(key=_sort_key(name, descending), reverse=descending)
        return islice(found, self.offset, None if self.limit is None else self.offset + self.limit)


def _nlargest_first_seen(n: int, records: Iterable[Record], key: Callable[[Record], Any]) -> list[Record]:
    # heapq.nlargest breaks ties by the first seen, as a stable reverse sort does.
    return heapq.nlargest(n, records, key=key)


def _sort_key(name: str, descending: bool) -> Callable[[Record], Any]:
    # Missing values last, in either direction; kinds of values that cannot be
    # compared with each other (a column may hold both) by the name of their type.
    def key(record: Record) -> Any:
        value = record[name] if name in FIELDS else record.columns.get(name)
        missing = value is None
        if missing:
            return (not descending, "", 0)
        kind = "" if isinstance(value, (int, float)) else type(value).__name__
        return (descending, kind, value)

    return key


#: Other names of fields, as people write them.
ALIASES = {"class": "cls", "tag": "tags", "saved": "modified"}


def _field(name: str, columns: tuple[str, ...]) -> str:
    resolved = name if name in columns else ALIASES.get(name, name)
    if resolved in FIELDS or resolved in columns:
        return resolved
    known = [*FIELDS, *ALIASES, *columns]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
    raise UnknownFieldError(f"There is no field {name!r} in the catalogue; {hint}", field=name)


def _condition(name: str, text: str) -> Condition:
    op: Any
    op, value = re.fullmatch(r"(<=|>=|!=|<|>|=)?(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if not value:
        raise InvalidQueryError(f"{name}: needs a value, as in {_EXAMPLES.get(name, name + ':value')}.")
    if name in ("created", "modified"):
        op = _of_age(op, value)
    if op in (None, "=") and "," in value:
        return Condition(name, "in", tuple(_coerce(name, v) for v in value.split(",") if v))
    return Condition(name, op or "=", _coerce(name, value))


def _of_age(op: Any, text: str) -> Any:
    """Return the comparison of times that one of ages means: younger than a week is later than a week ago."""
    turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
    return turned.get(op, op) if _AGE.fullmatch(text) else op


_EXAMPLES = {"size": "size:>1MB", "modified": "saved:<7d", "created": "created:<7d", "cls": "class:dict"}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|min|m|h|d|w|y)")
_AGE_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31557600}


def _coerce(name: str, value: Any) -> Any:
    """Return `value` as the type that field `name` has."""
    if value is None:
        return None
    if name in ("size", "revision", "number"):
        return parse_size(value) if isinstance(value, str) else value
    if name in ("created", "modified"):
        return parse_time(value)
    if name in FIELDS:
        if isinstance(value, type) and name == "cls":
            return f"{value.__module__}.{value.__qualname__}"
        return str(value)
    if isinstance(value, str):  # a user column
        return Written(value)
    return parse_time(value) if isinstance(value, (date, timedelta)) else value


_SIZE_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def parse_size(text: str) -> int:
    """Return the number of bytes that `text` means.

    >>> parse_size("1.5MB"), parse_size("4KiB"), parse_size("12")
    (1500000, 4096, 12)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)(b?)\s*", text, re.IGNORECASE)
    if not match:
        raise InvalidQueryError(f"{text!r} is not a size; write it like 4kB, 1.5MB or 2GiB.")
    number, unit, binary, _ = match.groups()
    factor = 1024 ** "bkmgt".index(unit.lower() or "b") if binary else _SIZE_UNITS[unit.lower()]
    return int(float(number) * factor)


def parse_time(value: Any) -> datetime:
    """Return the moment that `value` means, in UTC.

    A datetime (naive ones are local time), a date, a number (seconds since the
    epoch), a string in ISO format, or an age such as ``7d`` or ``2h``.
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day).astimezone(UTC)
    if isinstance(value, timedelta):
        return datetime.now(UTC) - value
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        if match := _AGE.fullmatch(value.strip()):
            return datetime.now(UTC) - timedelta(seconds=float(match[1]) * _AGE_UNITS[match[2]])
        if value.strip().lower() in ("today", "yesterday"):
            midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
            return (midnight - timedelta(days=value.strip().lower() == "yesterday")).astimezone(UTC)
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except ValueError:
            pass
    raise InvalidQueryError(f"{value!r} is not a time; write 2026-11-23, 2026-11-23T14:00 or an age like 7d.")
