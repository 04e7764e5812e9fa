"""Questions about the catalogue as SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gc3store.query import Condition, Query
from gc3store.record import FIELDS, to_microseconds
from gc3store.sql.columns import UserColumnSelect
from gc3store.sql.dialect import Dialect
from gc3store.sql.statements import Schema, compiled

__all__ = ["FAR", "RECORD", "CatalogueSelect"]

Statement = tuple[str, list[Any]]

#: The fields that a list of records shows.
RECORD = ("id", "name", "cls", "state", "tags", "size", "created", "modified", "revision")
_NULLABLE = {"name", "state", "tags"}
#: Entries to skip; doing so with fewer costs nothing worth saving.
FAR = 1000


class CatalogueSelect:
    """The entries that a query asks for, as statements with their values.

    Answers as `Query.apply` does.

    Parameters
    ----------
    numbers : list of int, optional
        The numbers of the entries, where only those are meant.
    """

    def __init__(
        self, schema: Schema, dialect: Dialect, query: Query, numbers: list[int] | None = None
    ) -> None:
        self._record = schema.record
        self._user = UserColumnSelect(schema.value, schema.record)
        self._order_columns = [name for name, _ in query.order if name not in FIELDS]
        self._dialect = dialect
        self._query = query
        self._where = [self._condition(c) for c in query.conditions] + [self._word(w) for w in query.words]
        self._values: dict[str, Any] = {}
        if numbers is not None:
            self._where.append(dialect.listed(schema.record.c.number, "numbers"))
            self._values["numbers"] = dialect.numbers(numbers)

    def rows(self, names: Sequence[str] = RECORD) -> Statement:
        """Return the statement for the fields `names` of the entries."""
        query = self._query
        columns = [self._column(name).label(f"f{i}") for i, name in enumerate(names)]
        number = self._record.c.number
        if query.limit is not None and (query.order or query.offset > FAR):
            # Sort and skip numbers alone: whole rows would be carried along for nothing.
            found = self._window(sa.select(number), self._record, where=self._where).subquery()
            both = found.join(self._record, found.c.number == number)
            statement = self._ordered(sa.select(*columns), both)
        else:
            statement = self._window(sa.select(*columns), self._record, where=self._where)
        return compiled(statement.params(self._values), self._dialect.sqlalchemy)

    def _ordered(self, statement: Any, source: Any) -> Any:
        source, values = self._user.joined(source, self._order_columns)
        statement = statement.select_from(source)
        for name, descending in self._query.order:
            if name == "error":
                continue  # all alike
            if name in values:
                statement = statement.order_by(*self._user.order(values[name], descending))
                continue
            column = self._column(name)
            if name in _NULLABLE:
                statement = statement.order_by(column.is_(None))
            statement = statement.order_by(column.desc() if descending else column)
        return statement.order_by(self._record.c.number)

    def _window(self, statement: Any, source: Any, *, where: Sequence[Any]) -> Any:
        statement = self._ordered(statement.where(*where), source)
        if self._query.limit is not None:
            statement = statement.limit(self._query.limit)
        elif self._query.offset:
            statement = statement.limit(2**62)  # not all databases know an offset without a limit
        return statement.offset(self._query.offset) if self._query.offset else statement

    def count(self) -> Statement:
        """Return the statement for how many entries there are, offset and limit aside."""
        statement = sa.select(sa.func.count()).select_from(self._record).where(*self._where)
        return compiled(statement.params(self._values), self._dialect.sqlalchemy)

    def facets(self, field: str) -> Statement:
        """Return the statement for how many entries have which value of `field`."""
        column = self._column(field)
        statement = sa.select(column, sa.func.count()).where(*self._where).group_by(column)
        return compiled(statement.params(self._values), self._dialect.sqlalchemy)

    def _column(self, name: str) -> Any:
        if name == "error":
            return sa.null()
        return self._record.c[name]

    def _condition(self, condition: Condition) -> Any:
        if condition.field not in FIELDS:
            return self._user_condition(condition)
        if condition.op == "in":
            return sa.or_(sa.false(), *(self._equal(condition.field, v) for v in condition.value))
        if condition.op == "=":
            return self._equal(condition.field, condition.value)
        if condition.op == "!=":
            return sa.not_(sa.func.coalesce(self._equal(condition.field, condition.value), sa.false()))
        if condition.value is None or condition.field == "error":
            return sa.false()
        column, value = self._operands(condition.field, condition.value)
        if value is None:
            return sa.false()
        return {
            "<": column < value,
            "<=": column <= value,
            ">": column > value,
            ">=": column >= value,
        }[condition.op]

    def _user_condition(self, condition: Condition) -> Any:
        if condition.op == "!=":
            return sa.not_(self._user_condition(Condition(condition.field, "=", condition.value)))
        wanted = condition.value if condition.op == "in" else (condition.value,)
        op: Any = "=" if condition.op == "in" else condition.op
        single = [one for value in wanted for one in Condition(condition.field, op, value).meanings()]
        return sa.or_(sa.false(), *map(self._user.condition, single))

    def _operands(self, field: str, value: Any) -> tuple[Any, Any]:
        """Return a column and a value that it can be compared with; `None` if there is none."""
        column = self._column(field)
        if isinstance(value, datetime):
            value = to_microseconds(value)
        if isinstance(column.type, sa.String):
            return column, value if isinstance(value, str) else None
        if not isinstance(value, (int, float)) or value != value:
            return column, None
        if isinstance(column.type, sa.Integer) and (isinstance(value, float) or abs(value) >= 2**63):
            # Compared as what it is, and not rounded to fit the column first.
            return sa.cast(column, sa.Double()), sa.literal(float(value), sa.Double())
        return column, value

    def _equal(self, field: str, value: Any) -> Any:
        column = self._column(field)
        if value is None:
            return column.is_(None)
        if field == "error":
            return sa.false()
        column, value = self._operands(field, value)
        if value is None:
            return sa.false()
        if field == "tags":
            return sa.func.coalesce(
                self._dialect.contains(column, json.dumps(value, ensure_ascii=False)), sa.false()
            )
        if field == "cls" and "." not in str(value):
            end = sa.func.substr(column, sa.func.char_length(column) - len(value))
            return sa.or_(column == value, end == f".{value}")
        return column == value

    def _word(self, word: str) -> Any:
        columns = [self._column(name) for name in ("id", "name", "cls", "tags")]
        return sa.or_(*(self._dialect.has_word(column, word) for column in columns))
