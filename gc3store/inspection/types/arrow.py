"""Arrays of Apache Arrow, read from their buffers without pyarrow.

pandas keeps texts, and whatever ``dtype="...[pyarrow]"`` asks for, in such arrays. pyarrow
writes one as ``_restore_array`` of its type, length, offset and buffers, which are laid out
as the columnar format says (https://arrow.apache.org/docs/format/Columnar.html): a bit for
each value that is there, then the values; or where each begins, then all of them.
"""

from __future__ import annotations

import re
import struct
import sys
from bisect import bisect_right
from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from gc3store.inspection.machine.names import callee
from gc3store.inspection.machine.nodes import CALL, Node
from gc3store.inspection.types.arrays import buffer_of
from gc3store.inspection.types.columns import Column
from gc3store.inspection.types.dtypes import DType, aware
from gc3store.inspection.types.standard import NotPlainError, list_of

if TYPE_CHECKING:
    from gc3store.inspection.building import Reader

__all__ = ["VALUES", "arrow_of"]

_EMPTY: Final = memoryview(b"")
_NUMBERS: Final = {
    "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I",
    "uint64": "Q", "halffloat": "e", "float": "f", "double": "d",
}  # fmt: skip
_TEXTS: Final = {"string": "i", "large_string": "q", "binary": "i", "large_binary": "q"}
_EPOCH: Final = date(1970, 1, 1)
_TICKS: Final = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}
#: How many arrays within arrays there may be.
_MAX_WEIGHT: Final = 1000


class _Array:
    """The parts of an array: length and offset, buffers, arrays within, and how to get a value."""

    __slots__ = ("buffers", "children", "dictionary", "length", "offset", "type", "weight")

    def __init__(self, data: Any, reader: Reader) -> None:
        if type(data) is not tuple or len(data) != 7:
            raise NotPlainError
        raw, length, _, offset, buffers, children, dictionary = data
        if any(type(n) is not int or not 0 <= n < 1 << 60 for n in (length, offset)):
            raise NotPlainError
        self.type = raw
        self.length, self.offset = length, offset
        self.buffers = [_view(buffer, reader) for buffer in list_of(buffers, reader.budget)]
        inner = list_of(children, reader.budget)
        for child in inner:  # the same child twice would be a value that is larger than the stream
            reader.budget.touch(child, 1 << 16)
        self.children = [reader.once(_read, child) for child in inner]
        self.dictionary = None if dictionary is None else reader.once(_read, dictionary)
        self.weight = 1 + sum(child[1] for child in self.children)
        if self.weight > _MAX_WEIGHT:
            raise NotPlainError

    def buffer(self, number: int, bits: int) -> memoryview:
        """Return a buffer that has so many bits for each value."""
        view = self.buffers[number] if number < len(self.buffers) else _EMPTY
        if len(view) * 8 < (self.length + self.offset) * bits:
            raise NotPlainError
        return view


def _view(raw: Any, reader: Reader) -> memoryview:
    if raw is None:
        return _EMPTY
    if type(raw) is list and raw[2] == CALL and len(raw) == 3 and callee(raw[0]) == "pyarrow.lib.py_buffer":
        args = raw[1]
        if type(args) is tuple and len(args) == 1:
            return buffer_of(args[0], reader)
    raise NotPlainError


def _read(data: Any, reader: Reader) -> tuple[Column, int]:
    array = _Array(data, reader)
    name, get, source = _values(array, reader)
    if not (array.buffers and len(array.buffers[0])) or name == "null":
        valid, column = _EMPTY, get
    else:
        valid, offset = array.buffer(0, 1), array.offset

        def column(i: int) -> Any:
            at = i + offset
            return get(i) if valid[at >> 3] >> (at & 7) & 1 else None

    parts = (array.offset, valid, *source)
    return Column(array.length, column, f"{name}[pyarrow]", parts), array.weight


_Values = tuple[str, Callable[[int], Any], tuple[Any, ...]]


def _values(array: _Array, reader: Reader) -> _Values:
    """Return the name of an array's type, what gets a value that is there, and what from."""
    raw = array.type
    if type(raw) is not list or raw[2] != CALL or len(raw) != 3 or type(raw[1]) is not tuple:
        raise NotPlainError
    maker, args = callee(raw[0]), raw[1]
    if maker == "pyarrow.lib.type_for_alias" and len(args) == 1 and type(args[0]) is str:
        return _simple(array, args[0], reader)
    if maker == "pyarrow.lib.timestamp" and len(args) == 2 and args[0] in _TICKS:
        return _moments(array, args[0], args[1])
    if maker == "pyarrow.lib.decimal128" and len(args) == 2 and type(args[1]) is int and abs(args[1]) < 100:
        return _decimals(array, args)
    if maker == "pyarrow.lib.dictionary" and array.dictionary is not None and len(args) == 3:
        return _dictionary(array, args[0], reader)
    if maker in ("pyarrow.lib.list_", "pyarrow.lib.large_list") and len(array.children) == 1:
        return _lists(array, "q" if "large" in maker else "i", reader)
    if maker == "pyarrow.lib.struct" and len(args) == 1:
        return _structs(array, args[0], reader)
    raise NotPlainError


def _simple(array: _Array, name: str, reader: Reader) -> _Values:
    if name == "null":
        return name, lambda _: None, ()
    if name == "bool":
        bits, offset = array.buffer(1, 1), array.offset
        return name, lambda i: bool(bits[i + offset >> 3] >> (i + offset & 7) & 1), (bits,)
    if name in _NUMBERS:
        return _fixed(array, name, _NUMBERS[name], lambda value: value)
    if name in _TEXTS:
        return _texts(array, name, reader)
    if name == "date32[day]":
        return _fixed(array, name, "i", _day)
    match = re.fullmatch(r"(duration|time32|time64|date64)\[(s|ms|us|ns)\]", name)
    if match is None:
        raise NotPlainError
    kind, unit = match.groups()
    if kind == "duration":
        return _times(array, name, "m", unit)
    if kind == "date64":
        return _fixed(array, name, "q", lambda ticks: _day(ticks // 86_400_000))
    return _fixed(array, name, "i" if kind == "time32" else "q", lambda ticks: _clock(ticks, _TICKS[unit]))


def _fixed(array: _Array, name: str, letter: str, convert: Callable[[Any], Any]) -> _Values:
    unpack, size = struct.Struct("<" + letter), struct.calcsize("<" + letter)
    data, offset = array.buffer(1, 8 * size), array.offset
    return name, lambda i: convert(unpack.unpack_from(data, (i + offset) * size)[0]), (data,)


def _times(array: _Array, name: str, kind: str, unit: str) -> _Values:
    dtype = DType(kind, 8, "<", unit)
    data, offset = array.buffer(1, 64), array.offset
    return name, lambda i: dtype.decode(data, (i + offset) * 8), (data,)


def _moments(array: _Array, unit: str, zone: Any) -> _Values:
    if zone is not None and type(zone) is not str:
        raise NotPlainError
    name, get, source = _times(array, f"timestamp[{unit}{f', tz={zone[:100]}' if zone else ''}]", "M", unit)
    return (name, get, source) if zone is None else (name, lambda i: aware(get(i)), source)


def _day(days: int) -> date | int:
    try:
        return _EPOCH + timedelta(days)
    except OverflowError:
        return days


def _clock(ticks: int, per_second: int) -> Any:
    micros, rest = divmod(ticks * 10**6, per_second)
    if rest or not 0 <= micros < 86_400 * 10**6:
        return ticks
    seconds, micros = divmod(micros, 10**6)
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60, micros)


def _decimals(array: _Array, args: tuple[Any, ...]) -> _Values:
    data, offset, scale = array.buffer(1, 128), array.offset, args[1]

    def get(i: int) -> Decimal:
        at = (i + offset) * 16
        digits = int.from_bytes(data[at : at + 16], "little", signed=True)
        return Decimal(f"{digits}E{-scale}")

    return f"decimal128({args[0]}, {scale})", get, (data, scale)


def _offsets(array: _Array, letter: str) -> Callable[[int], tuple[int, int]]:
    # One more than there are values; an array without values need not have any.
    size = struct.calcsize("<" + letter)
    starts = array.buffers[1] if len(array.buffers) > 1 else _EMPTY
    if len(starts) < (array.length + array.offset + 1) * size and array.length:
        raise NotPlainError
    pair, offset = struct.Struct(f"<2{letter}"), array.offset

    def span(i: int) -> tuple[int, int]:
        found: tuple[int, int] = pair.unpack_from(starts, (i + offset) * size)
        return found

    return span


def _texts(array: _Array, name: str, reader: Reader) -> _Values:
    span = _offsets(array, _TEXTS[name])
    data = array.buffers[2] if len(array.buffers) > 2 else _EMPTY
    text = "string" in name

    def get(i: int) -> Any:
        start, end = span(i)
        if not 0 <= start <= end <= len(data):
            return None
        return str(data[start:end], "utf-8", "replace") if text else bytes(data[start:end])

    _ascending(array, 1, _TEXTS[name], reader)
    return name, get, (array.buffers[1] if len(array.buffers) > 1 else _EMPTY, data)


def _ascending(array: _Array, number: int, letter: str, reader: Reader) -> None:
    """Refuse values that overlap, of which few bytes could hold very many."""
    view = array.buffers[number] if number < len(array.buffers) else _EMPTY
    size = struct.calcsize("<" + letter)
    reader.budget.touch(view, 16 * len(view))
    starts = view[: len(view) // size * size].cast(letter)  # type: ignore[call-overload]
    if sys.byteorder == "little" and array.length:
        within = starts[array.offset : array.offset + array.length + 1]
        if any(a > b for a, b in pairwise(within)):
            raise NotPlainError


def _dictionary(array: _Array, index: Any, reader: Reader) -> _Values:
    inner = _Array.__new__(_Array)
    for slot in _Array.__slots__:
        setattr(inner, slot, getattr(array, slot))
    inner.type, inner.dictionary = index, None
    name, at, source = _values(inner, reader)
    if not name.startswith(("int", "uint")) or array.dictionary is None:
        raise NotPlainError
    values: Column = array.dictionary[0]
    if values.dtype.startswith(("dictionary", "list", "struct")):
        raise NotPlainError  # each place that refers to one would be as large as it

    value = values.once

    def get(i: int) -> Any:
        code = at(i)
        return value(code) if 0 <= code < len(values) else None

    return (
        f"dictionary<values={values.dtype.removesuffix('[pyarrow]')}, indices={name}>",
        get,
        (*source, values),
    )


def _lists(array: _Array, letter: str, reader: Reader) -> _Values:
    span, values = _offsets(array, letter), array.children[0][0]
    _ascending(array, 1, letter, reader)

    def get(i: int) -> Any:
        start, end = span(i)
        return values[start:end] if 0 <= start <= end <= len(values) else None

    return f"list<{values.dtype.removesuffix('[pyarrow]')}>", get, (array.buffers[1:], values)


def _structs(array: _Array, raw: Any, reader: Reader) -> _Values:
    names = []
    for field in list_of(raw, reader.budget):
        if type(field) is not list or field[2] != CALL or callee(field[0]) != "pyarrow.lib.field":
            raise NotPlainError
        args = field[1]
        if type(args) is not tuple or not args or type(args[0]) is not str:
            raise NotPlainError
        names.append(args[0])
    columns = [column for column, _ in array.children]
    offset = array.offset
    if len(names) != len(columns) or any(len(column) < array.length + offset for column in columns):
        raise NotPlainError

    def get(i: int) -> Any:
        return {name: column[i + offset] for name, column in zip(names, columns, strict=True)}

    return "struct", get, (tuple(names), tuple(columns))


def arrow_of(raw: Any, reader: Reader) -> Column:
    """Return the values of an array, or of several in a row."""
    value = reader.value(raw)
    if not isinstance(value, Column):
        raise NotPlainError
    return value


def _restored(args: tuple[Any, ...], node: Node, reader: Reader) -> Column:
    # pyarrow.lib._restore_array((type, length, missing, offset, buffers, children, dictionary))
    if len(args) != 1 or len(node) != 3:
        raise NotPlainError
    return reader.once(_read, args[0])[0]


def _chunked(args: tuple[Any, ...], node: Node, reader: Reader) -> Column:
    # pyarrow.lib.chunked_array([array, ...], type)
    if len(node) != 3 or not 1 <= len(args) <= 2:
        raise NotPlainError
    chunks = [arrow_of(chunk, reader) for chunk in list_of(args[0], reader.budget)]
    if not chunks or len({chunk.dtype for chunk in chunks}) != 1:
        raise NotPlainError
    if len(chunks) == 1:
        return chunks[0]
    ends: list[int] = []
    for chunk in chunks:
        ends.append((ends[-1] if ends else 0) + len(chunk))

    def get(i: int) -> Any:
        number = bisect_right(ends, i)
        return chunks[number][i - (ends[number - 1] if number else 0)]

    return Column(ends[-1], get, chunks[0].dtype, tuple(chunks))


#: What makes an array, by exact dotted name.
VALUES: Final[dict[str, Callable[[tuple[Any, ...], Node, Any], Any]]] = {
    "pyarrow.lib._restore_array": _restored,
    "pyarrow.lib.chunked_array": _chunked,
}
