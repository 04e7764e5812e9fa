"""One stored object in detail, as text and as HTML.

Everything shown may come from a store that others have filled, so it is
text: characters that cannot be seen are shown as escapes, and HTML is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from gc3store.jupyter.fields import SHOWN_FIELDS
from gc3store.jupyter.show.values import full, some, title
from gc3store.record import Record
from gc3store.support.text import clean, single_line

__all__ = ["Details"]


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
            *((title(name), full(record, name)) for name in self._fields()),
            ("cannot be loaded", record.error or ""),
            *((name, str(value)) for name, value in record.columns.items() if value is not None),
            ("saved by", _person(record.origin)),
            ("saved in", _place(record.origin)),
            ("saved with", _packages(record)),
            ("note", self._missing),
        ]
        return [(name, single_line(value, 500)) for name, value in facts if value]

    def _fields(self) -> Iterator[str]:
        record = self.record
        for name in (*SHOWN_FIELDS, "preview", "references"):
            # An object that was saved once has one date, and what keeps no dates keeps no revisions.
            if name == "modified" and record.modified == record.created:
                continue
            if name == "revision" and record.created is None:
                continue
            yield name

    @property
    def source(self) -> str:
        """The source of the cell that saved it, where that was recorded."""
        return str(self.record.origin.get("source") or "")

    def __repr__(self) -> str:
        facts = self._facts()
        width = max(len(name) for name, _ in facts)
        lines = [f"{name.ljust(width)}  {value}" for name, value in facts]
        if self.source:
            lines += ["source", *(f"    {_source_line(line)}" for line in self.source.splitlines())]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        left = 'style="text-align: left"'
        rows = "".join(
            f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(value)}</td></tr>"
            for name, value in self._facts()
        )
        source = ""
        if self.source:
            lines = "\n".join(map(_source_line, self.source.splitlines()))
            source = f"<details><summary>source of the cell</summary><pre>{escape(lines)}</pre></details>"
        return f"<table><tbody>{rows}</tbody></table>{source}"


def _source_line(line: str) -> str:
    return clean(line.expandtabs(4), None)


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
        found.append(some([f"{name} {packages[name]}" for name in names], limit=6))
    return ", ".join(found)
