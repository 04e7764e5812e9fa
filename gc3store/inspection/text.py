"""Inert values as text: capped, and finished in bounded time.

Whatever the value, no more than a few thousand nodes are visited and a few thousand
characters written; what is left out is said. Control characters are shown as escapes. As HTML,
values are shown by `gc3store.inspection.html`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from types import SimpleNamespace
from typing import Any, Final

from gc3store.inspection.libraries import NotShownError
from gc3store.inspection.types.columns import Column, Frame, Index
from gc3store.inspection.types.numpy import Array, DType
from gc3store.inspection.values import (
    Dict,
    Inert,
    Name,
    Pairs,
    Reference,
    class_path,
    defined,
    parts,
    state_parts,
)
from gc3store.support.text import MAX_LINE, clean

__all__ = ["brackets", "entries", "leaf", "text"]

_MAX_TEXT: Final = 4000
_TIMES: Final = " \N{MULTIPLICATION SIGN} "
_MAX_DEPTH: Final = 8
_DATES: Final = (date, datetime, time, timedelta)


class _Full(Exception):  # noqa: N818 - it ends a walk
    """The budget is spent."""


class _Writer:
    def __init__(self, limit: int) -> None:
        self.pieces: list[str] = []
        self.left = limit

    def put(self, piece: str) -> None:
        self.pieces.append(piece)
        self.left -= len(piece)
        if self.left < 0:
            raise _Full


def text(value: Any, *, limit: int = _MAX_TEXT) -> str:
    """Return a value as text, at most about `limit` characters.

    Examples
    --------
    >>> text({"energy": [0.5] * 3, "path": "<b>"})
    "{'energy': [0.5, 0.5, 0.5], 'path': '<b>'}"
    >>> text(list(range(1000)), limit=20)
    '[0, 1, 2, 3, 4, 5, 6, …'
    """
    writer = _Writer(limit)
    try:
        _write(writer, value, 0, set())
    except _Full:
        writer.pieces.append("…")
    return "".join(writer.pieces)


def leaf(value: Any) -> str:
    """Return a constant, or a value without content to unfold, as a text without control characters."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value[:MAX_LINE])
        shown = repr(data) if isinstance(value, bytes) else f"{type(value).__name__}({data!r})"
        return shown if len(value) <= MAX_LINE else f"{shown}… {len(value):,} bytes"
    if isinstance(value, int) and not isinstance(value, bool):
        # Decimal digits of a huge number take quadratic time, and Python refuses them.
        return str(int(value)) if value.bit_length() < 1000 else f"an integer of {value.bit_length():,} bits"
    if isinstance(value, Name):
        return f"<{clean(value.path)}>"
    if isinstance(value, Reference):
        return f"→ {clean(value.id)}"
    if isinstance(value, Array):
        return f"array {_TIMES.join(map(str, value.shape)) or 'of one'} {clean(str(value.dtype))}"
    if isinstance(value, Frame):
        rows, columns = value.shape
        return f"DataFrame {rows:,}{_TIMES}{columns:,}"
    if isinstance(value, Column):
        return f"{'Index' if isinstance(value, Index) else 'Series'} of {len(value):,} {clean(value.dtype)}"
    if isinstance(value, Decimal):
        shown = str(value) if value.adjusted() < 10_000 or not value.is_finite() else "a huge number"
        return f"Decimal({_quoted(shown)})"
    if isinstance(value, DType):
        return f"dtype {clean(str(value))}"
    if isinstance(value, (*_DATES, float, bool, complex)) or value is None:
        return clean(repr(value))
    try:
        return clean(repr(value))
    except Exception:  # noqa: BLE001 - numbers may refuse to be written
        return f"<{type(value).__name__}>"


def _quoted(value: str) -> str:
    if len(value) <= MAX_LINE:
        return repr(value)
    return f"{value[: MAX_LINE - 1]!r}… {len(value):,} characters"


def _write(writer: _Writer, value: Any, depth: int, open_: set[int]) -> None:
    shape = brackets(value)
    if shape is None:
        writer.put(leaf(value))
        return
    start, end = shape
    if id(value) in open_ or depth >= _MAX_DEPTH:
        writer.put(f"{start}…{end}")
        return
    open_.add(id(value))
    writer.put(start)
    first = True
    for label, child, is_key in entries(value):
        if not first:
            writer.put(
                " " if isinstance(value, Inert) and not is_key and label and not parts(value).args else ", "
            )
        first = False
        if is_key:
            _write(writer, label, depth + 1, open_)
            writer.put(": ")
        elif label:
            writer.put(f"{clean(label)}=")
        _write(writer, child, depth + 1, open_)
    if isinstance(value, tuple) and len(value) == 1:
        writer.put(",")
    writer.put(end)
    open_.discard(id(value))


_NAMED: Final[dict[type, tuple[str, str]]] = {
    Counter: ("Counter({", "})"),
    OrderedDict: ("OrderedDict({", "})"),
    deque: ("deque([", "])"),
    SimpleNamespace: ("namespace(", ")"),
}


def brackets(value: Any) -> tuple[str, str] | None:
    """Return what stands around a value with content; `None` where it has none."""
    if isinstance(value, Inert):
        known = parts(value)
        named = defined(value)
        if named is not None:
            return f"<{clean(named.path)} defined by ", ">"
        name = clean(class_path(value) or "object")
        if known.function:
            return f"{name}(", ")"
        return f"<{name}" + (" " if _has_content(value) else ""), ">"
    if isinstance(value, Dict) and value.factory is not None:
        return f"defaultdict({leaf(value.factory)}, {{", "})"
    for kind, around in _NAMED.items():
        if isinstance(value, kind):
            return around
    if isinstance(value, list):
        return "[", "]"
    if isinstance(value, tuple):
        return "(", ")"
    if isinstance(value, Pairs):
        return ("{", "}") if value.kind != "frozenset" else ("frozenset({", "})")
    if isinstance(value, dict):
        return "{", "}"
    if isinstance(value, frozenset):
        return "frozenset({", "})"
    if isinstance(value, set):
        return ("{", "}") if value else ("set(", ")")
    if isinstance(value, (Array, Column)) and (not isinstance(value, Array) or value.shape):
        return f"<{leaf(value)}: ", ">"
    if isinstance(value, Frame):
        return f"<{leaf(value)}: ", ">"
    return None


def _has_content(value: Inert) -> bool:
    known = parts(value)
    return bool(known.args or known.states or known.items or known.pairs or known.kwargs)


def entries(value: Any) -> Iterator[tuple[Any, Any, bool]]:
    """Yield what is in a value: a label or a key, the content, and whether it is a key."""
    if isinstance(value, Inert):
        known = parts(value)
        for arg in known.args:
            yield "", arg, False
        if isinstance(known.kwargs, dict):
            for name, child in known.kwargs.items():
                yield str(name), child, False
        named = state_parts(value)
        for part in named:
            for name, child in part.items():
                yield name, child, not isinstance(name, str)
        if not named:
            for state in known.states:
                yield "state", state, False
        for item in known.items:
            yield "", item, False
        for key, child in known.pairs:
            yield key, child, True
    elif isinstance(value, Pairs) and value.kind != "dict":
        yield from (("", key, False) for key in value)
    elif isinstance(value, (dict, Pairs)):
        yield from ((key, child, True) for key, child in value.items())
    elif isinstance(value, SimpleNamespace):
        yield from ((name, child, False) for name, child in vars(value).items())
    elif isinstance(value, Frame):
        yield from (
            (str(column.name), column, False) for column in (value.column(i) for i in range(value.shape[1]))
        )
    elif isinstance(value, (Array, Column)):
        with suppress(NotShownError):
            yield from (("", child, False) for child in islice(_values(value), 1000))
    else:
        yield from (("", child, False) for child in value)


def _values(value: Array | Column) -> Iterator[Any]:
    return value.flat() if isinstance(value, Array) else iter(value)
