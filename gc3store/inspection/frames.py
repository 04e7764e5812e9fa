"""pandas objects, read from what their pickles hold, without pandas.

A DataFrame is written as a manager of blocks: two-dimensional arrays of the columns of
one type, and the axes. The forms read here are those of pandas 1.1 up to 3; a form that
is not known is shown as the placeholder that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Final

from gc3store.inspection.arrays import Array, array_of
from gc3store.inspection.dtypes import DType
from gc3store.inspection.nodes import CALL, NEW, Node
from gc3store.inspection.standard import NotPlainError, callee, list_of, mapping_of, plain, state_of
from gc3store.inspection.values import _Shown

if TYPE_CHECKING:
    from gc3store.inspection.tree import Reader

__all__ = ["Column", "Frame", "Index"]


class Column(_Shown):
    """Values of one type: a Series, a column of a frame, or an extension array.

    Attributes
    ----------
    name : Any
        Its label, where it has one.
    dtype : str
        What pandas calls the type of the values.
    index : Index or None
        The labels of the rows, where it is a Series.
    """

    __slots__ = ("_get", "_length", "dtype", "index", "name")
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, length: int, get: Callable[[int], Any], dtype: str, name: Any = None, index: Index | None = None
    ) -> None:
        self._length = length
        self._get = get
        self.dtype = dtype
        self.name = name
        self.index = index

    def __len__(self) -> int:
        return self._length

    def __bool__(self) -> bool:
        return True

    @property
    def shape(self) -> tuple[int]:
        """How many values there are."""
        return (self._length,)

    def __getitem__(self, key: Any) -> Any:
        """Return a value by position, or several by a slice."""
        if isinstance(key, slice):
            return [self._get(i) for i in range(*key.indices(self._length))]
        if not isinstance(key, int):
            return self._get(self._position(key))
        index = key + self._length if key < 0 else key
        if not 0 <= index < self._length:
            raise IndexError(f"There are {self._length} values; there is no [{key}].")
        return self._get(index)

    def _position(self, label: Any) -> int:
        if self.index is not None:
            for position, found in enumerate(self.index):
                if found == label:
                    return position
        raise KeyError(label)

    def __iter__(self) -> Iterator[Any]:
        return (self._get(i) for i in range(self._length))

    def tolist(self) -> list[Any]:
        """Return all values."""
        return list(self)


class Index(Column):
    """The labels of rows or columns.

    Attributes
    ----------
    names : list
        The names of its levels; one unless it is a MultiIndex.
    """

    __slots__ = ("names",)

    def __init__(self, length: int, get: Callable[[int], Any], dtype: str, names: Sequence[Any]) -> None:
        super().__init__(length, get, dtype, names[0] if len(names) == 1 else None)
        self.names = list(names)


class Frame(_Shown):
    """A pandas DataFrame: labels, types, and the values that are asked for.

    Attributes
    ----------
    columns, index : Index
        The labels of the columns and of the rows.

    Examples
    --------
    ``frame["energy"]`` is a column, ``frame["energy"][3]`` a value, ``frame.head(5)`` the
    first rows, as dictionaries.
    """

    __slots__ = ("_columns", "columns", "index")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, columns: Index, index: Index, values: list[Column]) -> None:
        self.columns = columns
        self.index = index
        self._columns = values

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows and columns there are."""
        return len(self.index), len(self._columns)

    @property
    def dtypes(self) -> list[tuple[Any, str]]:
        """The columns' labels and types."""
        return [(label, column.dtype) for label, column in zip(self.columns, self._columns, strict=True)]

    def __len__(self) -> int:
        return len(self.index)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(self.columns)

    def __getitem__(self, label: Any) -> Column:
        for position, found in enumerate(self.columns):
            if found == label:
                return self.column(position)
        raise KeyError(label)

    def column(self, position: int) -> Column:
        """Return a column by its position."""
        column = self._columns[position]
        column.name, column.index = self.columns[position], self.index
        return column

    def head(self, count: int = 5) -> list[dict[Any, Any]]:
        """Return the first rows."""
        rows = range(min(count, len(self)))
        return [
            {str(label): column[i] for label, column in zip(self.columns, self._columns, strict=True)}
            for i in rows
        ]


# Values.


def _column(raw: Any, reader: Reader, row: int | None = None) -> Column:
    """Return the column in an array; of a two-dimensional one, its row."""
    name = _class_of(raw)
    if name.startswith("numpy."):
        array = array_of(raw, reader)
        if array.ndim == 2 and row is not None:
            length, get = array.shape[1], lambda i: array[row, i]
        elif array.ndim == 1:
            length, get = array.shape[0], array.__getitem__
        else:
            raise NotPlainError
        return Column(length, get, str(array.dtype))
    if type(raw) is list and callee(raw[0]).endswith("__pyx_unpickle_NDArrayBacked"):
        return _backed(raw, reader, row)
    if (
        type(raw) is list
        and raw[2] == NEW
        and name.rpartition(".")[2] in ("IntegerArray", "FloatingArray", "BooleanArray")
    ):
        fields = mapping_of(state_of(raw))
        data, mask = array_of(fields.get("_data"), reader), array_of(fields.get("_mask"), reader)
        if data.ndim != 1 or data.shape != mask.shape:
            raise NotPlainError
        dtype = "boolean" if data.dtype.kind == "b" else str(data.dtype).capitalize().replace("Uint", "UInt")
        return Column(len(data), lambda i: None if mask[i] else data[i], dtype)
    raise NotPlainError


def _class_of(raw: Any) -> str:
    # Of an array: the class, whichever function was to make it.
    if type(raw) is not list:
        return ""
    name = callee(raw[0])
    if name.startswith("numpy."):
        return "numpy.ndarray" if name.rpartition(".")[2] in ("_reconstruct", "_frombuffer") else ""
    return name


def _backed(raw: Node, reader: Reader, row: int | None) -> Column:
    args, state = raw[1], state_of(raw)
    if not args or type(state) is not tuple or len(state) < 2:
        raise NotPlainError
    kind = callee(args[0]).rpartition(".")[2]
    first, second = state[0], state[1]
    dtype, data = (second, first) if _class_of(first).startswith("numpy.") else (first, second)
    if _class_of(dtype) == "numpy.ndarray":
        raise NotPlainError
    array = array_of(data, reader)
    if array.ndim == 2 and row is not None:
        array = array[row]
    if not isinstance(array, Array) or array.ndim != 1:
        raise NotPlainError
    length, get = len(array), array.__getitem__
    if kind == "Categorical":
        categories = _index(mapping_of(state_of(dtype)).get("categories"), reader)
        size = len(categories)
        return Column(length, lambda i: categories[array[i]] if 0 <= array[i] < size else None, "category")
    if kind in ("StringArray", "StringArrayNumpySemantics"):
        return Column(length, lambda i: value if isinstance(value := get(i), str) else None, "str")
    if kind == "DatetimeArray" and array.dtype.kind == "M":
        zone = _zone(dtype)
        if zone is None:
            return Column(length, get, str(array.dtype))
        return Column(length, lambda i: _aware(get(i)), f"{str(array.dtype)[:-1]}, {zone}]")
    if kind == "PeriodArray":
        return Column(length, get, "period")
    return Column(length, get, str(array.dtype))


def _zone(dtype: Any) -> str | None:
    if type(dtype) is not list or not callee(dtype[0]).endswith("DatetimeTZDtype"):
        return None
    tz = mapping_of(state_of(dtype)).get("tz")
    try:
        found = plain(tz)
        return str(found.tzname(None)) if hasattr(found, "tzname") else str(found)
    except NotPlainError:
        return "?"


def _aware(value: Any) -> Any:
    # Stored in UTC, whatever zone they are shown in.
    return value.replace(tzinfo=UTC) if hasattr(value, "tzinfo") else value


def _index(raw: Any, reader: Reader) -> Index:
    if (
        type(raw) is not list
        or raw[2] != CALL
        or type(raw[1]) is not tuple
        or len(raw[1]) != 2
        or len(raw) != 3
    ):
        raise NotPlainError
    maker, kind = callee(raw[0]), callee(raw[1][0]).rpartition(".")[2]
    if not maker.startswith("pandas.core.indexes.") or maker.rpartition(".")[2] not in (
        "_new_Index",
        "_new_DatetimeIndex",
        "_new_PeriodIndex",
    ):
        raise NotPlainError
    fields = mapping_of(raw[1][1])
    if kind == "RangeIndex":
        start, stop, step = (fields.get(name) for name in ("start", "stop", "step"))
        if any(type(n) is not int for n in (start, stop, step)) or not step:
            raise NotPlainError
        values = range(start, stop, step)  # type: ignore[arg-type]
        return Index(_length(values), values.__getitem__, "int64", [reader.value(fields.get("name"))])
    if kind == "MultiIndex":
        return _multi(fields, reader)
    column = _column(fields.get("data"), reader)
    return Index(len(column), column.__getitem__, column.dtype, [reader.value(fields.get("name"))])


def _length(values: range) -> int:
    try:
        return len(values)
    except OverflowError:
        raise NotPlainError from None


def _multi(fields: dict[str, Any], reader: Reader) -> Index:
    levels = [_index(level, reader) for level in list_of(fields.get("levels"))]
    codes = [array_of(code, reader) for code in list_of(fields.get("codes"))]
    names = [reader.value(name) for name in list_of(fields.get("names"))]
    if (
        not levels
        or len(levels) != len(codes)
        or len({code.shape for code in codes}) != 1
        or codes[0].ndim != 1
    ):
        raise NotPlainError

    def get(i: int) -> tuple[Any, ...]:
        return tuple(
            level[code[i]] if 0 <= code[i] < len(level) else None
            for level, code in zip(levels, codes, strict=True)
        )

    return Index(len(codes[0]), get, "MultiIndex", names)


# Frames and series.


def _blocks(raw: Any, reader: Reader) -> tuple[list[tuple[Any, list[int]]], list[Index]]:
    """Return a manager's blocks, each with the places of its columns, and the axes."""
    if type(raw) is not list or callee(raw[0]).rpartition(".")[2] not in (
        "BlockManager",
        "SingleBlockManager",
    ):
        raise NotPlainError
    blocks: list[tuple[Any, list[int]]] = []
    if raw[2] == CALL and len(raw[1]) == 2 and len(raw) == 3:
        axes = list_of(raw[1][1])
        for block in list_of(raw[1][0]):
            if type(block) is not list or not callee(block[0]).endswith(("._unpickle_block", ".new_block")):
                raise NotPlainError
            values, places = block[1][:2]
            blocks.append((values, _places(places, reader)))
    else:
        state = state_of(raw)
        if type(state) is not tuple or len(state) != 4:
            raise NotPlainError
        table = mapping_of(mapping_of(state[3]).get("0.14.1"))
        axes = list_of(table.get("axes"))
        for entry in list_of(table.get("blocks")):
            fields = mapping_of(entry)
            blocks.append((fields.get("values"), _places(fields.get("mgr_locs"), reader)))
    return blocks, [_index(axis, reader) for axis in axes]


def _places(raw: Any, reader: Reader) -> list[int]:
    if type(raw) is list and callee(raw[0]) == "builtins.slice":
        found = plain(raw)
        if any(type(n) not in (int, type(None)) for n in (found.start, found.stop, found.step)):
            raise NotPlainError
        values = range(found.start or 0, found.stop or 0, found.step or 1)
        reader.charge(64 * _length(values))
        return list(values)
    array = array_of(raw, reader)
    if array.ndim != 1 or array.dtype.kind != "i":
        raise NotPlainError
    return array.tolist()  # type: ignore[no-any-return]


def _manager(node: Node) -> tuple[Any, dict[str, Any]]:
    fields = mapping_of(state_of(node))
    return fields.get("_mgr", fields.get("_data")), fields


def _frame(_args: tuple[Any, ...], node: Node, reader: Reader) -> Frame:
    manager, _ = _manager(node)
    blocks, axes = _blocks(manager, reader)
    if len(axes) != 2:
        raise NotPlainError
    reader.charge(256 * len(axes[0]))
    columns: list[Column | None] = [None] * len(axes[0])
    for values, places in blocks:
        for row, place in enumerate(places):
            if not 0 <= place < len(columns) or columns[place] is not None:
                raise NotPlainError
            column = _column(values, reader, row)
            if len(column) != len(axes[1]):
                raise NotPlainError
            columns[place] = column
    if any(column is None for column in columns):
        raise NotPlainError
    return Frame(axes[0], axes[1], columns)  # type: ignore[arg-type]


def _series(_args: tuple[Any, ...], node: Node, reader: Reader) -> Column:
    manager, fields = _manager(node)
    blocks, axes = _blocks(manager, reader)
    if len(axes) != 1 or len(blocks) != 1:
        raise NotPlainError
    column = _column(blocks[0][0], reader)
    if len(column) != len(axes[0]):
        raise NotPlainError
    column.index = axes[0]
    column.name = reader.value(fields.get("_name"))
    return column


def _new_index(_args: tuple[Any, ...], node: Node, reader: Reader) -> Index:
    return _index(node, reader)


def _array(_args: tuple[Any, ...], node: Node, reader: Reader) -> Column:
    return _column(node, reader)


# Scalars.


def _timestamp(args: tuple[Any, ...], node: Node, _reader: Reader) -> Any:
    # _unpickle_timestamp(value, freq, zone, resolution)
    if (
        len(node) != 3
        or not 3 <= len(args) <= 4
        or type(args[0]) is not int
        or not -(1 << 63) <= args[0] < 1 << 63
    ):
        raise NotPlainError
    value = DType("M", 8, "<", _resolution(args[3] if len(args) > 3 else None)).decode(
        memoryview(args[0].to_bytes(8, "little", signed=True)), 0
    )
    return value if args[2] is None else _in_zone(_aware(value), plain(args[2]))


def _in_zone(moment: Any, zone: Any) -> Any:
    # The rules of a named zone are not in the pickle; the moment itself is, in UTC.
    offset = zone.utcoffset(None) if hasattr(zone, "utcoffset") else None
    return (
        moment.astimezone(zone) if isinstance(offset, timedelta) and hasattr(moment, "astimezone") else moment
    )


def _timedelta(args: tuple[Any, ...], node: Node, _reader: Reader) -> Any:
    if (
        len(node) != 3
        or not 1 <= len(args) <= 2
        or type(args[0]) is not int
        or not -(1 << 63) <= args[0] < 1 << 63
    ):
        raise NotPlainError
    unit = _resolution(args[1] if len(args) > 1 else None)
    return DType("m", 8, "<", unit).decode(memoryview(args[0].to_bytes(8, "little", signed=True)), 0)


def _resolution(code: Any) -> str:
    found = {None: "ns", 7: "s", 8: "ms", 9: "us", 10: "ns"}.get(code if type(code) is int else None)
    if found is None:
        raise NotPlainError
    return found


def _nothing(_args: tuple[Any, ...], _node: Node, _reader: Reader) -> None:
    return None


#: What makes a pandas object, by exact dotted name.
VALUES: Final[dict[str, Callable[[tuple[Any, ...], Node, Any], Any]]] = {
    "pandas.DataFrame": _frame,
    "pandas.Series": _series,
    "pandas.core.frame.DataFrame": _frame,
    "pandas.core.series.Series": _series,
    "pandas.core.indexes.base._new_Index": _new_index,
    "pandas.core.indexes.datetimes._new_DatetimeIndex": _new_index,
    "pandas.core.indexes.period._new_PeriodIndex": _new_index,
    "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked": _array,
    **{
        f"pandas.{module}.{name}": _array
        for name, home in (
            ("IntegerArray", "integer"),
            ("FloatingArray", "floating"),
            ("BooleanArray", "boolean"),
        )
        for module in ("arrays", f"core.arrays.{home}")
    },
    "pandas._libs.tslibs.timestamps._unpickle_timestamp": _timestamp,
    "pandas._libs.tslibs.timedeltas._timedelta_unpickle": _timedelta,
    "pandas._libs.tslibs.nattype._nat_unpickle": _nothing,
}
