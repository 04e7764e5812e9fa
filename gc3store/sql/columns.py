"""User columns in a database.

Their values stand twice there: in the catalogue's row as JSON, to show with the row,
and one by one in a table of their own, to filter and sort on. There a boolean, a number and
a time is an amount; `exact` holds what is an integer, of which a float would lose digits.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from gc3store.columns import columns_from_json, columns_to_json
from gc3store.format import dump_json, load_json
from gc3store.query import Condition
from gc3store.record import to_microseconds

__all__ = ["UserColumnSelect", "columns_text", "value_rows", "values_from"]

#: Kinds of values, in the order in which they are sorted where a column has several.
_NUMBER, _TIME, _TEXT = 0, 1, 2
_COMPARE: Final = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def columns_text(values: Mapping[str, Any]) -> str | None:
    """Return what the catalogue's row says of the columns."""
    entry = columns_to_json(values)
    return dump_json(entry).decode() if entry else None


def values_from(text: str | None, names: Sequence[str]) -> dict[str, Any]:
    """Return the values of columns out of a catalogue's row."""
    return columns_from_json(load_json(text) if text else {}, names)


def value_rows(number: int, values: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a record in the table of values."""
    for name, value in values.items():
        if isinstance(value, str):
            yield name, number, _TEXT, None, None, value
        elif value is not None:
            kind, amount = _amount(value)
            yield name, number, kind, _near(amount), _exact(amount), None


def _amount(value: Any) -> tuple[int, Any]:
    if isinstance(value, datetime):
        return _TIME, to_microseconds(value)
    if isinstance(value, list):  # a time, as an entry has it
        return _TIME, value[0]
    return _NUMBER, value


def _near(value: Any) -> float:
    """Return the float nearest to a number on the side of zero: so no order is turned round."""
    near = float(value)
    return near if abs(near) <= abs(value) else math.nextafter(near, 0.0)


def _exact(value: Any) -> int | None:
    whole = int(value)
    return whole if whole == value and -(2**63) <= whole < 2**63 else None


class UserColumnSelect:
    """Conditions on user columns, and their order, as parts of a statement.

    Parameters
    ----------
    value, record : Table
        The table of values and the catalogue.
    """

    def __init__(self, value: sa.Table, record: sa.Table) -> None:
        self._value = value
        self._record = record

    def condition(self, condition: Condition) -> Any:
        """Return what holds for the records that satisfy a condition, one without alternatives."""
        value = self._value
        of_column = value.c.name == condition.field
        if condition.value is None:
            there = self._record.c.number.in_(sa.select(value.c.number).where(of_column))
            return sa.not_(there) if condition.op == "=" else sa.false()
        test = self._test(condition.op, condition.value)
        return self._record.c.number.in_(sa.select(value.c.number).where(of_column, test))

    def _test(self, op: str, wanted: Any) -> Any:
        value = self._value
        if isinstance(wanted, str):
            return sa.and_(value.c.kind == _TEXT, _COMPARE[op](value.c.content, wanted))
        if not isinstance(wanted, (int, float, datetime)) or wanted != wanted:
            return sa.false()
        kind, amount = _amount(wanted)
        return sa.and_(value.c.kind == kind, self._compare(op, amount))

    def _compare(self, op: str, wanted: float) -> Any:
        """Return the condition that an amount compares with a number, exactly as in Python."""
        value = self._value
        try:
            near = _near(wanted)
        except OverflowError:
            near = math.copysign(math.inf, wanted)
        if math.isinf(near):  # beyond all that there is, and not a literal in every database
            return sa.true() if (op[0] == "<") == (near > 0) and op != "=" else sa.false()
        exact = _exact(wanted)
        if exact is not None:
            # What is not an integer of this size is far enough from one that a float can tell.
            apart = sa.and_(value.c.exact.is_(None), _COMPARE[op](value.c.amount, near))
            return sa.or_(_COMPARE[op](value.c.exact, exact), apart)
        if near != wanted:  # an integer between two floats
            if op == "=":
                return sa.false()
            below = near < wanted
            op = {"<": "<=" if below else "<", "<=": "<=" if below else "<"}.get(op, ">" if below else ">=")
        return _COMPARE[op](value.c.amount, sa.literal(near, sa.Double()))

    def joined(self, source: Any, names: Sequence[str]) -> tuple[Any, dict[str, Any]]:
        """Return `source` with the values of columns beside each record, and these by name."""
        found = {}
        for name in names:
            values = found[name] = self._value.alias()
            on = sa.and_(values.c.number == self._record.c.number, values.c.name == name)
            source = source.outerjoin(values, on)
        return source, found

    @staticmethod
    def order(values: Any, descending: bool) -> list[Any]:
        """Return what to sort by: missing values last, kinds apart."""
        keys = [values.c.kind, values.c.amount, values.c.exact, values.c.content]
        return [values.c.kind.is_(None), *(key.desc() if descending else key for key in keys)]
