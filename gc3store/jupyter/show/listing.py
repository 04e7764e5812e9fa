"""What the magics show: lists of objects, and one object in detail, as text and as HTML.

Everything shown may come from a store that somebody else has filled, so it is
text: control characters, which can rewrite a terminal or turn the direction of a
line, are replaced, and HTML is escaped.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, overload

from gc3store.record import Record, human_size

if TYPE_CHECKING:
    import pandas as pd

    from gc3store.store import Store

__all__ = ["Details", "Listing", "age", "plain"]

_WIDEST = 36  # characters of one cell of a table in a terminal
_STYLE = "text-align: left; white-space: pre"


def plain(text: str, limit: int = 200) -> str:
    r"""Return `text` on one line, without control characters, and not longer than `limit`.

    >>> plain("two\nlines \x1b[31mred"), plain("abcdef", 4)
    ('two lines �[31mred', 'abc…')
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    text = " ".join(text.split())
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" else c for c in text)


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago `moment` was, as people say it; the date, if that is long ago.

    >>> noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    >>> age(noon, noon), age(datetime(2026, 11, 23, 11, 15, tzinfo=UTC), noon)
    ('just now', '45 min ago')
    >>> age(datetime(2026, 1, 2, tzinfo=UTC), noon)
    '2026-01-02'
    """
    if moment is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 45:
        return "just now"
    if seconds < 5400:
        return f"{max(1, round(seconds / 60))} min ago"
    if seconds < 129600:
        return f"{round(seconds / 3600)} h ago"
    if seconds < 30 * 86400:
        return f"{round(seconds / 86400)} days ago"
    return moment.astimezone().strftime("%Y-%m-%d")


_COLUMNS: Mapping[str, Callable[[Record], str]] = {
    "id": lambda r: r.id,
    "name": lambda r: r.name or "",
    "class": lambda r: r.class_name,
    "state": lambda r: r.state or "",
    "tags": lambda r: ", ".join(r.tags),
    "size": lambda r: human_size(r.size) if r.size else "",
    "saved": lambda r: age(r.modified),
    "preview": lambda r: f"cannot be loaded: {r.error}" if r.error else (r.preview or ""),
}


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
            columns["version"] = [plain(version) for version in self._versions]
        for name, value in _COLUMNS.items():
            cells = [plain(value(record)) for record in self._records]
            if name == "id" or any(cells):
                columns[name] = cells
        for name in dict.fromkeys(name for record in self._records for name in record.columns):
            values = [record.columns.get(name) for record in self._records]
            cells = ["" if value is None else plain(str(value)) for value in values]
            if any(cells):
                columns[plain(name, 30)] = cells
        return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]

    def _headline(self) -> str:
        if self.total > len(self._records):
            return f"{len(self._records):,} of {self.total:,} {self.title}"
        return f"{self.total:,} {self.title}"

    def __repr__(self) -> str:
        names, rows = self._cells()
        rows = [[plain(cell, _WIDEST) for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        right = [name == "size" for name in names]
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


class Details:
    """Everything known of one object, without loading it.

    Attributes
    ----------
    record : Record
        The facts.
    """

    def __init__(self, record: Record, *, missing: str = "") -> None:
        self.record = record
        self._missing = missing

    def _facts(self) -> list[tuple[str, str]]:
        record = self.record
        facts = [
            ("ID", record.id),
            ("name", record.name or ""),
            ("class", record.cls),
            ("state", record.state or ""),
            ("tags", ", ".join(record.tags)),
            ("size", f"{human_size(record.size)} ({record.size:,} bytes)" if record.size >= 1000 else ""),
            ("size", human_size(record.size) if 0 < record.size < 1000 else ""),
            ("created", _moment(record.created)),
            ("modified", _moment(record.modified) if record.modified != record.created else ""),
            ("revision", f"{record.revision:,}" if record.created else ""),
            ("preview", record.preview or ""),
            ("refers to", _some(record.references)),
            ("cannot be loaded", record.error or ""),
            *((name, str(value)) for name, value in record.columns.items() if value is not None),
            ("saved by", _person(record.origin)),
            ("saved in", _place(record.origin)),
            ("saved with", _packages(record)),
            ("note", self._missing),
        ]
        return [(name, plain(value, 500)) for name, value in facts if value]

    @property
    def source(self) -> str:
        """The source of the cell that saved it, where that was recorded."""
        return str(self.record.origin.get("source") or "")

    def __repr__(self) -> str:
        facts = self._facts()
        width = max(len(name) for name, _ in facts)
        lines = [f"{name.ljust(width)}  {value}" for name, value in facts]
        if self.source:
            lines += ["source", *(f"    {plain_line(line)}" for line in self.source.splitlines())]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        left = 'style="text-align: left"'
        rows = "".join(
            f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(value)}</td></tr>"
            for name, value in self._facts()
        )
        source = ""
        if self.source:
            lines = "\n".join(map(plain_line, self.source.splitlines()))
            source = f"<details><summary>source of the cell</summary><pre>{escape(lines)}</pre></details>"
        return f"<table><tbody>{rows}</tbody></table>{source}"


def plain_line(line: str) -> str:
    """Return a line of source without control characters, its indentation kept."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" else c for c in line.expandtabs(4)
    )


def _moment(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z} ({age(moment)})" if moment else ""


def _some(words: Sequence[str], limit: int = 8) -> str:
    more = f" and {len(words) - limit:,} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more


def _person(origin: Mapping[str, Any]) -> str:
    user, host = origin.get("user"), origin.get("host")
    return " on ".join(str(part) for part in (user, host) if part)


def _place(origin: Mapping[str, Any]) -> str:
    notebook, cell = origin.get("notebook"), origin.get("cell")
    return ", ".join(
        part for part in (str(notebook or ""), f"cell [{cell}]" if cell is not None else "") if part
    )


def _packages(record: Record) -> str:
    python, packages = record.origin.get("python"), record.origin.get("packages")
    found = [f"Python {python}"] if python else []
    if isinstance(packages, Mapping):
        # The package that the object is of, and those that objects often consist of, first.
        first = [record.cls.partition(".")[0], "gc3store", "numpy", "pandas", "scipy"]
        names = [name for name in dict.fromkeys(first) if name in packages]
        names += [name for name in packages if name not in names]
        found.append(_some([f"{name} {packages[name]}" for name in names], limit=6))
    return ", ".join(found)
