"""User columns of objects that were saved before the columns were."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from gc3store.columns import Column, Failures, plain
from gc3store.engine.inspecting import Inspecting
from gc3store.engine.loading import Loading
from gc3store.engine.looking import Looking
from gc3store.engine.saving import Saving
from gc3store.errors import StoreError
from gc3store.paths import parse
from gc3store.support.progress import progress as with_progress

__all__ = ["Filling"]

#: How many records, and how many bytes, are read before what was found is written.
_RECORDS: Final = 256
_BYTES: Final = 32 * 1024 * 1024
#: How often records are tried again that others replaced meanwhile.
_AGAIN: Final = 5

Found = dict[str, tuple[int, dict[str, Any]]]


class Filling(Saving, Loading, Looking, Inspecting):
    """Recording columns afterwards."""

    def fill_columns(
        self,
        names: Iterable[str] | None = None,
        *,
        again: bool = False,
        progress: bool = True,
        **filters: Any,
    ) -> int:
        """Record user columns of objects that have no value there yet, with a progress bar.

        Parameters
        ----------
        names : iterable of str, optional
            Which columns; by default all that can be filled.
        again : bool
            Also record what has a value: after a column has got another meaning, for instance.
        progress : bool
            Whether a bar shows how far it is, if it takes long.
        **filters
            Which objects, as for `list`.

        Returns
        -------
        int
            How many objects have got a value, or another one.

        Raises
        ------
        OptionError
            If there is no such column, or it is filled by a function that is not at hand.

        Warns
        -----
        ColumnWarning
            If a column cannot be evaluated, once for each column.

        Notes
        -----
        A path is read by inspection (`inspect`): no class is needed, and what only code of the object
        computes has no value. A function is called with the object, which is loaded for that. Content,
        revisions and times of the records stay as they are. After an interruption the same call goes on;
        a record that somebody replaces meanwhile is read again. Memory is bounded by the largest object.

        Examples
        --------
        >>> import tempfile
        >>> from gc3store import make_store
        >>> place = tempfile.mkdtemp()
        >>> make_store(place).save({"result": {"energy": -1.75}})
        'dict.1'
        >>> store = make_store(place, columns={"energy": "result.energy"})
        >>> store.fill_columns()
        1
        >>> store.list(query="energy:<-1.5")
        ['dict.1']
        """
        columns = self._user_columns.chosen(names)
        with self.transaction():
            pass  # the store has the columns from here on
        todo = [
            (record.id, record.size)
            for record in self._catalogue(self.query(**filters))
            if again or any(record.columns.get(column.name) is None for column in columns)
        ]
        failures = Failures()
        filled = 0
        for _ in range(_AGAIN):
            if not todo or not columns:
                break
            left = []
            for batch in _batches(with_progress(todo, "filling columns", show=progress)):
                found = self._evaluated(columns, [id_ for id_, _ in batch], failures)
                with self._lock, self._step():
                    written = self._fill(found, again=again)
                filled += sum(written.values())
                left += [entry for entry in batch if entry[0] in found and entry[0] not in written]
            todo = left
        failures.report()
        return filled

    def _evaluated(self, columns: Sequence[Column], ids: Sequence[str], failures: Failures) -> Found:
        """Return the values for records, by ID, with the revisions that they had before they were read."""
        found: Found = {id_: (revision, {}) for id_, revision in self._revisions(ids).items()}

        def note(id_: str, column: Column, read: Callable[[Any], Any], what: Any) -> None:
            value = None
            try:
                value = plain(read(what))
            except Exception as error:  # noqa: BLE001  (whatever it is, the others go on)
                failures.add(column.name, id_, error)
            found[id_][1][column.name] = value

        if paths := [column for column in columns if column.path is not None]:
            from gc3store.tables.path_reader import probes

            for id_, probe in probes(self, list(found), show=False):
                for column in paths if probe is not None else ():
                    note(id_, column, probe.get, parse(str(column.path)))  # type: ignore[union-attr]
        if functions := [column for column in columns if column.function is not None]:
            for id_ in found:
                try:
                    obj = self.load(id_, fresh=True)
                except StoreError as error:
                    for column in functions:
                        failures.add(column.name, id_, error)
                    continue
                for column in functions:
                    note(id_, column, column.value_of, obj)
        return found


def _batches(entries: Iterable[tuple[str, int]]) -> Iterator[builtins.list[tuple[str, int]]]:
    batch: builtins.list[tuple[str, int]] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += entry[1]
        if len(batch) >= _RECORDS or size >= _BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
