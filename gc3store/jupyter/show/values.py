"""How the magics write the fields of the catalogue: briefly in lists, in full in details."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from gc3store.jupyter.show.age import age
from gc3store.record import ENTRY_FIELDS, FieldKind, Record, human_size

__all__ = ["brief", "full", "some", "title"]

#: How many of several strings are written.
_MANY: Final = 8


def title(name: str) -> str:
    """Return what stands above a field or before it: ``ID``, ``class``, ``saved``."""
    declared = ENTRY_FIELDS[name].title
    return declared if declared.isupper() else declared.lower()


def brief(record: Record, name: str) -> str:
    """Return a field as a cell of a list has it; empty where it says nothing."""
    return record.class_name if name == "cls" else _write(record, name, _BRIEF)


def full(record: Record, name: str) -> str:
    """Return a field as the details have it; empty where it says nothing."""
    return _write(record, name, {**_BRIEF, **_FULL})


def some(texts: Sequence[str], limit: int = _MANY) -> str:
    """Return strings in one line, and how many more there are."""
    more = f" and {len(texts) - limit:,} more" if len(texts) > limit else ""
    return ", ".join(texts[:limit]) + more


def _write(record: Record, name: str, by_kind: Mapping[FieldKind, Callable[[Any], str]]) -> str:
    value = getattr(record, name)
    write = by_kind.get(ENTRY_FIELDS[name].kind, str)
    return write(value) if value else ""


def _size(size: int) -> str:
    return f"{human_size(size)} ({size:,} bytes)" if size >= 1000 else human_size(size)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z} ({age(moment)})"


_BRIEF: Final[Mapping[FieldKind, Callable[[Any], str]]] = {
    "strings": ", ".join,
    "ids": some,
    "bytes": human_size,
    "integer": lambda number: f"{number:,}",
    "time": age,
}

_FULL: Final[Mapping[FieldKind, Callable[[Any], str]]] = {"bytes": _size, "time": _moment}
