"""Arrays of pandas that are not arrays of NumPy, and its scalars."""

from __future__ import annotations

import re
import warnings
from bisect import bisect_right
from collections.abc import Callable
from datetime import timedelta, tzinfo
from functools import cache
from itertools import accumulate
from typing import Any, Final

from gc3store.inspection.budget import CannotConvert
from gc3store.inspection.building import Reader, builds, call_of, mapping_of, state_of, value_of
from gc3store.inspection.libraries import NotShownError, library
from gc3store.inspection.machine.names import callee
from gc3store.inspection.machine.nodes import NEW, Node
from gc3store.inspection.types.columns import Column
from gc3store.inspection.types.dtypes import aware, moment
from gc3store.inspection.types.numpy import Array

__all__ = ["between", "column_of"]


def _called(name: str, home: str) -> tuple[str, str]:
    """Return what an array of pandas is called by, in its older and newer versions."""
    return f"pandas.arrays.{name}", f"pandas.core.arrays.{home}.{name}"


def column_of(raw: Any, reader: Reader, row: int | None = None) -> Column:
    """Return the column in an array; of a two-dimensional one, its row."""
    if type(raw) is not list:
        raise CannotConvert
    name = callee(raw[0])
    if name.endswith("__pyx_unpickle_NDArrayBacked"):
        return _backed(raw, reader, row)
    value = reader.value(raw)
    if isinstance(value, Array):
        return _of_array(value, row, str(value.dtype))
    if isinstance(value, Column):
        return value
    raise CannotConvert


def _of_array(array: Array, row: int | None, dtype: str, get: Callable[[Any], Any] | None = None) -> Column:
    if array.ndim == 2 and row is not None:
        if not 0 <= row < array.shape[0]:
            raise CannotConvert
        line = array[row]
    elif array.ndim == 1:
        line, row = array, None
    else:
        raise CannotConvert
    item = line.__getitem__
    return Column(len(line), item if get is None else lambda i: get(item(i)), dtype, (array, row))


def _fields(node: Node, reader: Reader) -> dict[str, Any]:
    return mapping_of(state_of(node), reader.budget)


# Arrays of NumPy with a meaning.


def _backed(raw: Node, reader: Reader, row: int | None) -> Column:
    # pandas._libs.arrays.__pyx_unpickle_NDArrayBacked(class, checksum, None), then the state
    args, state = raw[1], state_of(raw)
    if type(args) is not tuple or not args or type(state) is not tuple or len(state) < 2:
        raise CannotConvert
    kind = callee(args[0]).rpartition(".")[2]
    first, second = reader.value(state[0]), reader.value(state[1])
    (array, dtype) = (first, state[1]) if isinstance(first, Array) else (second, state[0])
    if not isinstance(array, Array):
        raise CannotConvert
    if kind == "Categorical" and array.dtype.kind == "i":
        categories = value_of(_fields(dtype, reader).get("categories"), Column, reader)
        codes = _of_array(array, row, "category")
        return Column(len(codes), categories.at(codes.__getitem__), "category", (codes, categories))
    if kind in ("StringArray", "StringArrayNumpySemantics"):
        return _of_array(
            array, row, text_name(dtype), lambda value: value if isinstance(value, str) else None
        )
    if kind == "DatetimeArray" and array.dtype.kind == "M":
        zone = reader.once(_zone, dtype)
        if zone is None:
            return _of_array(array, row, str(array.dtype))
        return _of_array(array, row, f"{str(array.dtype)[:-1]}, {zone}]", aware)
    if kind == "PeriodArray":
        freq = reader.once(_frequency, dtype)
        return _of_array(array, row, f"period[{freq}]", lambda value: _period(value, freq))
    return _of_array(array, row, str(array.dtype))


def _zone(dtype: Any, reader: Reader) -> str | None:
    if type(dtype) is not list or not callee(dtype[0]).endswith("DatetimeTZDtype"):
        return None
    zone = reader.value(_fields(dtype, reader).get("tz"))
    return str(zone.tzname(None) or zone) if isinstance(zone, tzinfo) else "?"


def _frequency(dtype: Any, _reader: Reader) -> str:
    # PeriodDtype("period[M]"), or with an offset
    (found,) = dtype[1]
    if type(found) is not str:
        return _offset(found)
    match = re.fullmatch(r"period\[(\d{0,9})([A-Za-z]{1,3})(-[A-Z]{3})?\]", found, re.ASCII)
    if match is None:
        raise CannotConvert
    return match[1] + _OLDER_NAMES.get(match[2], match[2]) + (match[3] or "")


#: What pandas calls frequencies, by their offsets; and what it called them before.
_OFFSETS: Final = {
    "YearEnd": "Y", "QuarterEnd": "Q", "MonthEnd": "M", "Week": "W", "BusinessDay": "B", "Day": "D", "Hour": "h",
    "Minute": "min", "Second": "s", "Milli": "ms", "Micro": "us", "Nano": "ns",
}  # fmt: skip
_OLDER_NAMES: Final = {"A": "Y", "H": "h", "T": "min", "S": "s", "L": "ms", "U": "us", "N": "ns"}
_WEEK: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_NAT: Final = -(1 << 63)


def _offset(raw: Any) -> str:
    # pandas._libs.tslibs.offsets.QuarterEnd(1, False, 3)
    name, (count, *more) = call_of(raw)
    base = _OFFSETS.get(name.rpartition(".")[2])
    if base is None or type(count) is not int or not 0 < count < 1 << 31:
        raise CannotConvert
    anchor = ""
    if base in "YQW" and len(more) > 1:
        anchor = "-" + (_WEEK[more[1]] if base == "W" else _MONTHS[more[1] - 1])
    return (str(count) if count != 1 else "") + base + anchor


def _period(ordinal: Any, freq: str) -> Any:
    if ordinal == _NAT or type(ordinal) is not int:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of frequencies that pandas will know no longer
        try:
            return str(library("pandas").Period(ordinal=ordinal, freq=freq))
        except (ValueError, OverflowError) as error:
            raise NotShownError(f"pandas cannot write a period of the frequency {freq}: {error}.") from error


def text_name(dtype: Any) -> str:
    """Return the name of a type of strings: ``str`` where what is missing is NaN, else ``string``."""
    args = dtype[1] if type(dtype) is list else None
    missing = args[1] if type(args) is tuple and len(args) == 2 else None
    return "str" if type(missing) is float else "string"


# Arrays of their own.


@builds(
    *_called("IntegerArray", "integer"),
    *_called("FloatingArray", "floating"),
    *_called("BooleanArray", "boolean"),
    holds=True,
    changes=True,
)
def _masked(_args: tuple[Any, ...], node: Node, reader: Reader) -> Column:
    fields = _fields(node, reader)
    data, mask = value_of(fields.get("_data"), Array, reader), value_of(fields.get("_mask"), Array, reader)
    if data.ndim != 1 or data.shape != mask.shape:
        raise CannotConvert
    dtype = "boolean" if data.dtype.kind == "b" else str(data.dtype).capitalize().replace("Uint", "UInt")
    return Column(len(data), lambda i: None if mask[i] else data[i], dtype, (data, mask))


@builds(
    *_called("ArrowStringArray", "string_arrow"),
    *_called("ArrowStringArrayNumpySemantics", "string_arrow"),
    *_called("ArrowExtensionArray", "arrow.array"),
    holds=True,
    changes=True,
)
def _of_arrow(_args: tuple[Any, ...], node: Node, reader: Reader) -> Column:
    fields = _fields(node, reader)
    column = value_of(fields.get("_pa_array", fields.get("_data")), Column, reader)
    if callee(node[0]).rpartition(".")[2].startswith("ArrowString"):
        return Column(len(column), column.__getitem__, text_name(fields.get("_dtype")), column.source)
    return column


@builds(
    *_called("IntervalArray", "interval"),
    "pandas._libs.interval.__pyx_unpickle_IntervalMixin",
    holds=True,
    changes=True,
)
def _intervals(_args: tuple[Any, ...], node: Node, reader: Reader) -> Column:
    if node[2] == NEW:  # pandas 1
        fields = _fields(node, reader)
    else:  # pandas._libs.interval.__pyx_unpickle_IntervalMixin(class, checksum, None), then ({...},)
        state = state_of(node)
        if type(state) is not tuple or not state:
            raise CannotConvert
        fields = mapping_of(state[0], reader.budget)
    dtype = fields.get("_dtype")
    closed = _fields(dtype, reader).get("closed") if type(dtype) is list else fields.get("_closed")
    return between(column_of(fields.get("_left"), reader), column_of(fields.get("_right"), reader), closed)


def between(left: Column, right: Column, closed: Any) -> Column:
    """Return intervals between the values of two columns."""
    start, end = _BRACKETS.get(closed if type(closed) is str else "", ("", ""))
    nested = left.dtype.startswith("interval")  # each value would be twice as long as those in it
    if not start or len(left) != len(right) or left.dtype != right.dtype or nested:
        raise CannotConvert

    def get(i: int) -> Any:
        a, b = left[i], right[i]
        return None if a is None or a != a else f"{start}{a}, {b}{end}"

    return Column(len(left), get, f"interval[{left.dtype}, {closed}]", (left, right, closed))


_BRACKETS: Final = {"left": ("[", ")"), "right": ("(", "]"), "both": ("[", "]"), "neither": ("(", ")")}


@builds(*_called("SparseArray", "sparse.array"), holds=True, changes=True)
def _sparse(_args: tuple[Any, ...], node: Node, reader: Reader) -> Column:
    fields = _fields(node, reader)
    length, place, places = reader.once(_places, fields.get("_sparse_index"))
    values = column_of(fields.get("_sparse_values"), reader)
    dtype = fields.get("_dtype")
    fill = reader.value(_fields(dtype, reader).get("_fill_value")) if type(dtype) is list else None

    def get(i: int) -> Any:
        at = place(i)
        return values[at] if 0 <= at < len(values) else fill

    shown = f"Sparse[{values.dtype}, {fill}]" if isinstance(fill, (int, float)) else f"Sparse[{values.dtype}]"
    return Column(length, get, shown, (places, values, fill))


def _places(raw: Any, reader: Reader) -> tuple[int, Callable[[int], int], tuple[Any, ...]]:
    # IntIndex(length, places) or BlockIndex(length, starts, lengths)
    _, args = call_of(raw)
    if not 2 <= len(args) <= 3 or type(args[0]) is not int or not 0 <= args[0] < 1 << 62:
        raise CannotConvert
    blocks = [value_of(arg, Array, reader) for arg in args[1:]]
    if any(array.ndim != 1 or array.dtype.kind != "i" or array.shape != blocks[0].shape for array in blocks):
        raise CannotConvert
    for arg, array in zip(args[1:], blocks, strict=True):
        reader.budget.touch(arg, 256 * len(array))

    @cache
    def bounds() -> tuple[list[int], list[int], list[int]]:
        starts = blocks[0].tolist()
        lengths = blocks[1].tolist() if len(blocks) == 2 else [1] * len(starts)
        return starts, lengths, [0, *accumulate(lengths)]

    def place(i: int) -> int:
        starts, lengths, before = bounds()
        at = bisect_right(starts, i) - 1
        return before[at] + i - starts[at] if at >= 0 and i - starts[at] < lengths[at] else -1

    return args[0], place, tuple(blocks)


@builds("pandas._libs.arrays.__pyx_unpickle_NDArrayBacked", holds=True, changes=True)
def _array(_args: tuple[Any, ...], node: Node, reader: Reader) -> Column:
    return _backed(node, reader, None)


# Scalars.


@builds("pandas._libs.tslibs.timestamps._unpickle_timestamp", holds=True)
def _timestamp(args: tuple[Any, ...], _node: Node, reader: Reader) -> Any:
    # _unpickle_timestamp(value, freq, zone, resolution)
    value = _decoded("M", args[:1], args[3] if len(args) > 3 else None)
    if not 3 <= len(args) <= 4:
        raise CannotConvert
    return value if args[2] is None else _in_zone(aware(value), reader.value(args[2]))


def _in_zone(moment: Any, zone: Any) -> Any:
    # The rules of a named zone are not in the pickle; the moment itself is, in UTC.
    offset = zone.utcoffset(None) if isinstance(zone, tzinfo) else None
    return (
        moment.astimezone(zone) if isinstance(offset, timedelta) and hasattr(moment, "astimezone") else moment
    )


@builds("pandas._libs.tslibs.timedeltas._timedelta_unpickle", holds=True)
def _timedelta(args: tuple[Any, ...], _node: Node, _reader: Reader) -> Any:
    if len(args) > 2:
        raise CannotConvert
    return _decoded("m", args[:1], args[1] if len(args) > 1 else None)


def _decoded(kind: str, args: tuple[Any, ...], resolution: Any) -> Any:
    unit = {None: "ns", 7: "s", 8: "ms", 9: "us", 10: "ns"}.get(
        resolution if type(resolution) is int else None
    )
    if unit is None or len(args) != 1 or type(args[0]) is not int or not -(1 << 63) <= args[0] < 1 << 63:
        raise CannotConvert
    return moment(kind, unit, args[0])


@builds("pandas.Period", "pandas._libs.tslibs.period.Period", holds=True)
def _one_period(args: tuple[Any, ...], _node: Node, _reader: Reader) -> Any:
    # pandas.Period(None, offset, ordinal)
    if len(args) != 3 or args[0] is not None or type(args[2]) is not int:
        raise CannotConvert
    return _period(args[2], _offset(args[1]))


@builds("pandas._libs.tslibs.nattype._nat_unpickle", holds=True, changes=True)
def _nothing(_args: tuple[Any, ...], _node: Node, _reader: Reader) -> None:
    return None
