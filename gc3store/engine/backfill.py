"""User columns of objects that were saved before the columns were."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gc3store.backend import Changes
from gc3store.columns import Column, Failures, plain
from gc3store.errors import StoreError
from gc3store.paths import parse

__all__ = ["Backfill"]

#: Reads paths in records: yields each ID with what `value` can be asked of, or `None`.
PathReaders = Callable[[Sequence[str]], Iterable[tuple[str, Any]]]


class Backfill:
    """Evaluates columns of records that are stored.

    Parameters
    ----------
    columns : sequence of Column
        Which columns.
    load : callable
        Takes an ID and returns an independent copy of the object.
    path_readers : callable
        Takes IDs and yields each with what reads paths in its payload.

    Attributes
    ----------
    failures : Failures
        What could not be evaluated.
    """

    def __init__(
        self, columns: Sequence[Column], load: Callable[[str], Any], path_readers: PathReaders
    ) -> None:
        self._paths = [column for column in columns if column.path is not None]
        self._functions = [column for column in columns if column.function is not None]
        self._load = load
        self._path_readers = path_readers
        self.failures = Failures()

    def evaluate(self, revisions: dict[str, int], *, again: bool) -> dict[str, Changes]:
        """Return the values for records, by ID, for the revisions that they had before they were read."""
        found: dict[str, dict[str, Any]] = {id_: {} for id_ in revisions}

        def note(id_: str, column: Column, read: Callable[[Any], Any], what: Any) -> None:
            value = None
            try:
                value = plain(read(what))
            except Exception as error:  # noqa: BLE001  (whatever it is, the others go on)
                self.failures.add(column.name, id_, error)
            found[id_][column.name] = value

        if self._paths:
            for id_, reader in self._path_readers(list(found)):
                for column in self._paths if reader is not None else ():
                    note(id_, column, reader.get, parse(str(column.path)))
        for id_ in found if self._functions else ():
            try:
                obj = self._load(id_)
            except StoreError as error:
                for column in self._functions:
                    self.failures.add(column.name, id_, error)
                continue
            for column in self._functions:
                note(id_, column, column.value_of, obj)
        return {
            id_: Changes(columns=values, expected=revisions[id_], again=again)
            for id_, values in found.items()
        }
