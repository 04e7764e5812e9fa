"""Columns that a table of GC3Pie has besides its own three."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gc3store.backend import PendingRecord
from gc3store.columns import columns_to_json, plain
from gc3store.gc3pie.database import OWN
from gc3store.inspection.machine.rewrite import rewrite, run
from gc3store.inspection.raw_tree import raw_attributes

__all__ = ["ExtraColumns"]


class ExtraColumns:
    """The further columns of a table, and what they are filled with.

    Parameters
    ----------
    table : sqlalchemy.Table
        The table.
    functions : mapping of str to callable
        For some of them, what gives an object's value; an object for which it fails gets none.

    Attributes
    ----------
    names : tuple of str
        Their names, in the order of the table.
    """

    def __init__(self, table: sa.Table, functions: Mapping[str, Callable[[Any], Any]]) -> None:
        self._table = table
        self.functions = dict(functions)
        self.names = tuple(column.name for column in table.columns if column.name not in OWN)

    def to_read(self) -> list[Any]:
        """Return the columns for a SELECT."""
        return [self._table.c[name] for name in self.names]

    def entry(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a row has in them, as a catalogue entry holds it."""
        return columns_to_json({name: _plain(row[name]) for name in self.names})

    def values_of(self, record: PendingRecord) -> dict[str, Any]:
        """Return what a record gets in them: by default the object's attributes of the same names."""
        if not self.names:
            return {}
        given = record.entry.get("columns") or {}
        attributes = _attributes(record)
        found: dict[str, Any] = {}
        for name in self.names:
            value = given.get(name, attributes.get(name))
            if name in self.functions and record.obj is not None:
                try:
                    value = self.functions[name](record.obj)
                except Exception:  # noqa: BLE001  (as GC3Pie has it: no reason not to save)
                    continue
            found |= self.fitting(name, value)
        return found

    def fitting(self, name: str, value: Any) -> dict[str, Any]:
        """Return the value for a column, by its name; nothing if the column cannot hold it."""
        if isinstance(value, datetime):
            value = value.astimezone().replace(tzinfo=None)  # these columns know no zones
        fits = isinstance(value, (str, int, float, bool, datetime)) and self._fits(name, value)
        return {name: value} if fits else {}

    def _fits(self, name: str, value: Any) -> bool:
        try:
            kind: type = self._table.c[name].type.python_type
        except NotImplementedError:
            return True
        return isinstance(value, (int, float) if kind in (int, float) else kind)


def _attributes(record: PendingRecord) -> Mapping[str, Any]:
    if record.obj is not None:
        return getattr(record.obj, "__dict__", {})
    stream = record.encoded.stream
    if not isinstance(stream, bytes) or record.entry.get("error"):
        return {}
    return raw_attributes(run(rewrite(stream, record.encoded.buffers)))  # it comes as bytes


def _plain(value: Any) -> Any:
    """Return a column's value as our catalogues have it; what they cannot hold is left out."""
    try:
        return plain(value)
    except (ValueError, OverflowError):
        return None
