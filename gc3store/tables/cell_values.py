"""Values of cells as JSON, exactly.

Strings, booleans, finite numbers and `None` are themselves. Every other value is an object
``{"t": type, "v": value}``; where JSON and this module can not hold a value exactly
it is ``{"t": "unknown"}``, and has to be read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from gc3store.inspection.shape import JSON_NAMES, SHAPES
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
_NOT_WRITTEN: Final = {"t": "unknown"}


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
        return {"t": "int", "v": hex(value)} if value.bit_length() < 1 << 16 else _NOT_WRITTEN
    if value is MISSING:
        return {"t": "missing"}
    try:
        if kind is Found:
            return {"t": "found", "v": [_exactly(value.value, depth), value.on]}
        json = SHAPES[kind].json if kind in SHAPES and depth < _DEEP else None
        written = None if json is None else json.write(value, lambda part: _exactly(part, depth + 1))
    except _InexactError:
        return _NOT_WRITTEN
    return _NOT_WRITTEN if json is None or written is None else {"t": json.name, "v": written}


class _InexactError(Exception):
    """A part of a value cannot be written exactly."""


def _exactly(value: Any, depth: int) -> Any:
    cell = encoded(value, depth)
    if cell == _NOT_WRITTEN:
        raise _InexactError
    return cell


def decoded(cell: Any) -> Any:
    """Return the value that `encoded` was given; `UNKNOWN` where it could not be written.

    >>> decoded(encoded(1 + 2j))
    (1+2j)
    """
    if type(cell) is not dict:
        return cell
    kind: str = cell["t"]
    written: Any = cell.get("v")
    if kind == "missing":
        return MISSING
    if kind == "float":
        return float(written)
    if kind == "int":
        return int(written, 16)
    if kind == "found":
        return Found(decoded(written[0]), tuple((id_, stamp) for id_, stamp in written[1]))
    json = JSON_NAMES.get(kind)
    return UNKNOWN if json is None else json.read(written, decoded)
