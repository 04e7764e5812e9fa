"""Lists of stored objects, as text and as HTML.

Everything shown may come from a store that others have filled, so it is
text: characters that cannot be seen are shown as escapes, and HTML is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, overload

from gc3store.jupyter.show.values import brief, title
from gc3store.record import Record
from gc3store.support.text import single_line

if TYPE_CHECKING:
    import pandas as pd

    from gc3store.store import Store

__all__ = ["Listing"]

_WIDEST = 36  # characters of one cell of a table in a terminal
_STYLE = "text-align: left; white-space: pre"

#: Fields that a list shows, where any of its objects has them.
_FIELDS = ("id", "name", "cls", "state", "tags", "size", "modified", "preview")


class Listing(Sequence[Record]):
    """Some of a store's objects: a sequence of `Record` that shows itself as a table.

    Parameters
    ----------
    records : iterable of Record
        What to show.
    store : Store
        The store they are in.
    total : int
        How many there are in all.
    title : str
        What they are, after their number: ``objects in sqlite:///jobs.db``.
    versions : sequence of str, optional
        For each record, how to write that version.
    """

    def __init__(
        self,
        records: Iterable[Record],
        *,
        store: Store,
        total: int,
        title: str,
        versions: Sequence[str] = (),
    ) -> None:
        self._records = tuple(records)
        self._store = store
        self.total = total
        self.title = title
        self._versions = tuple(versions)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        return self._records[index]

    def __len__(self) -> int:
        return len(self._records)

    @property
    def ids(self) -> list[str]:
        """The IDs of the objects shown."""
        return [record.id for record in self._records]

    def table(self) -> pd.DataFrame:
        """Return the objects shown as a table, one row per object, indexed by ID.

        Raises
        ------
        NotSupportedError
            If the store does not offer tables.
        """
        if not self._records:
            return self._store.table(limit=0)
        return self._store.table(id=self.ids)

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        columns: dict[str, list[str]] = {}
        if self._versions:
            columns["version"] = [single_line(version) for version in self._versions]
        for name in _FIELDS:
            cells = [single_line(_cell(record, name)) for record in self._records]
            if name == "id" or any(cells):
                columns[title(name).lower()] = cells
        for name in dict.fromkeys(name for record in self._records for name in record.columns):
            values = [record.columns.get(name) for record in self._records]
            cells = ["" if value is None else single_line(str(value)) for value in values]
            if any(cells):
                columns[single_line(name, 30)] = cells
        return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]

    def _headline(self) -> str:
        if self.total > len(self._records):
            return f"{len(self._records):,} of {self.total:,} {self.title}"
        return f"{self.total:,} {self.title}"

    def __repr__(self) -> str:
        names, rows = self._cells()
        rows = [[single_line(cell, _WIDEST) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        right = [name == title("size") for name in names]
        lines = [
            "  ".join(
                c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)
            ).rstrip()
            for row in ([names, *rows] if rows else [])
        ]
        return "\n".join([*lines, self._headline()])

    def _repr_html_(self) -> str:
        names, rows = self._cells()
        head = "".join(f'<th style="text-align: left">{escape(name)}</th>' for name in names)
        body = "".join(
            "<tr>" + "".join(f'<td style="{_STYLE}">{escape(cell)}</td>' for cell in row) + "</tr>"
            for row in rows
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if rows else ""
        return f"{table}<p>{escape(self._headline())}</p>"


def _cell(record: Record, name: str) -> str:
    if name == "preview" and record.error:
        return f"cannot be loaded: {record.error}"
    return brief(record, name)
