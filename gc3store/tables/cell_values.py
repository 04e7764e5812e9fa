"""Values of cells as JSON, exactly.

Texts, truth values, finite numbers and `None` are themselves. Every other value is an object
``{"t": type, "v": value}``; where JSON and this module can not hold a value exactly
it is ``{"t": "unknown"}``, and has to be read again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from math import isfinite
from typing import Any, Final
from uuid import UUID

from gc3store.inspection.values import Dict, List, Tuple
from gc3store.paths import MISSING

__all__ = ["GONE", "UNKNOWN", "Found", "decoded", "encoded"]


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


#: Stands for a value that is not known.
UNKNOWN: Final[Any] = _Unknown()


#: The stamp of a record that is not there.
GONE: Final = "gone"


@dataclass(frozen=True, slots=True)
class Found:
    """A value that was found by way of other records.

    Attributes
    ----------
    value : Any
        The value.
    on : tuple of (str, str)
        The IDs of those records, with their stamps: `GONE` for one that is not there, an empty
        one for one that counts as changed each time.
    """

    value: Any
    on: tuple[tuple[str, str], ...]


#: Integers in these bounds are read back by any reader of JSON.
_WORD: Final = 1 << 63
_DEEP: Final = 8


def encoded(value: Any, depth: int = 0) -> Any:
    """Return a value as it is written.

    >>> encoded(1.5), encoded(float("inf")), encoded(object())
    (1.5, {'t': 'float', 'v': 'inf'}, {'t': 'unknown'})
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is float:
        return value if isfinite(value) else {"t": "float", "v": repr(value)}
    if kind is int:
        if -_WORD <= value < _WORD:
            return value
        return {"t": "int", "v": hex(value)} if value.bit_length() < 1 << 16 else {"t": "unknown"}
    if value is MISSING:
        return {"t": "missing"}
    if kind in _WRITERS and depth < _DEEP:
        written = _WRITERS[kind](value, depth + 1)
        if written is not UNKNOWN:
            return {"t": _NAMES[kind], "v": written}
    return {"t": "unknown"}


def decoded(cell: Any) -> Any:
    """Return the value that `encoded` was given; `UNKNOWN` where it could not be written.

    >>> decoded(encoded(timedelta(days=1)))
    datetime.timedelta(days=1)
    """
    if type(cell) is not dict:
        return cell
    kind = cell["t"]
    if kind == "missing":
        return MISSING
    reader = _READERS.get(kind)
    return UNKNOWN if reader is None else reader(cell["v"])


def _moment(value: datetime, _depth: int) -> Any:
    # A zone with rules would come back as the offset that it had then.
    if value.fold or (value.tzinfo is not None and type(value.tzinfo) is not timezone):
        return UNKNOWN
    return value.isoformat()


def _parts(values: Any, depth: int) -> Any:
    found = [encoded(value, depth) for value in values]
    return UNKNOWN if {"t": "unknown"} in found else found


def _pairs(value: Dict, depth: int) -> Any:
    if value.factory is not None or not all(type(key) is str for key in value):
        return UNKNOWN
    parts = _parts(value.values(), depth)
    return UNKNOWN if parts is UNKNOWN else [list(value), parts]


def _found(value: Found, depth: int) -> Any:
    (inner,) = [encoded(value.value, depth - 1)]
    return UNKNOWN if inner == {"t": "unknown"} else [inner, value.on]


_TYPES: Final[dict[type, tuple[str, Callable[[Any, int], Any], Callable[[Any], Any]]]] = {
    bytes: ("bytes", lambda v, _: v.hex() if len(v) < 1 << 16 else UNKNOWN, bytes.fromhex),
    complex: (
        "complex",
        lambda v, _: [encoded(v.real), encoded(v.imag)],
        lambda v: complex(*map(decoded, v)),
    ),
    datetime: ("datetime", _moment, datetime.fromisoformat),
    date: ("date", lambda v, _: v.isoformat(), date.fromisoformat),
    timedelta: ("timedelta", lambda v, _: [v.days, v.seconds, v.microseconds], lambda v: timedelta(*v)),
    Decimal: ("Decimal", lambda v, _: str(v), Decimal),
    UUID: ("UUID", lambda v, _: v.hex, UUID),
    List: ("list", _parts, lambda v: List(map(decoded, v))),
    Tuple: ("tuple", _parts, lambda v: Tuple(map(decoded, v))),
    Dict: ("dict", _pairs, lambda v: Dict(zip(v[0], map(decoded, v[1]), strict=True))),
    Found: ("found", _found, lambda v: Found(decoded(v[0]), tuple((id_, stamp) for id_, stamp in v[1]))),
}
_NAMES: Final = {kind: name for kind, (name, _, _) in _TYPES.items()}
_WRITERS: Final = {kind: writer for kind, (_, writer, _) in _TYPES.items()}
_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    **{name: reader for name, _, reader in _TYPES.values()},
    "float": float,
    "int": lambda v: int(v, 16),
}
