"""Columns, labels and frames: values of pandas that are worked out when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from gc3store.inspection.arrays import Values, ValuesShape, stored
from gc3store.inspection.budget import CannotConvert
from gc3store.inspection.libraries import NotShownError
from gc3store.inspection.shape import ATTRIBUTE, TIMES, Entry, Grid, Shape, counted, shape_of, shaped
from gc3store.inspection.shown import Shown
from gc3store.support.text import clean

__all__ = ["Column", "Frame", "Index"]

_DEPTH: Final = 10
#: So many labels are gone through, and one for each byte that is stored of them.
_LABELS: Final = 1 << 16


class _ColumnShape(ValuesShape):
    kind = "column"

    def class_path(self, value: Column) -> str:
        return f"pandas.{'Series' if value.index is not None else type(value).__name__}"

    def line(self, value: Column) -> str:
        kind = "Index" if isinstance(value, Index) else "Series"
        return f"{kind} of {len(value):,} {clean(value.dtype)}"

    def label(self, value: Column) -> tuple[str, str]:
        return f"{self.type_text(value)} {len(value):,}", clean(value.dtype)

    def facts(self, value: Column) -> list[str]:
        name = [] if value.name is None else [f"name {clean(shape_of(value.name).line(value.name), 60)}"]
        return [f"{len(value):,}", clean(value.dtype), *name]

    def grid(self, value: Column) -> Grid:
        index = value.index
        return Grid(
            len(value),
            1,
            lambda _: (value.name if value.name is not None else "", str(value.dtype)),
            lambda row: row if index is None else index[row],
            lambda row, _: value[row],
        )


class _FrameShape(Shape):
    walk = "table"
    kind = "table"

    def class_path(self, value: Frame) -> str:
        return "pandas.DataFrame"

    def line(self, value: Frame) -> str:
        return f"DataFrame {value.shape[0]:,}{TIMES}{value.shape[1]}"

    def plain(self, value: Frame) -> str:
        return f"{value.shape[0]:,} rows{TIMES}{value.shape[1]:,} columns"

    def label(self, value: Frame) -> tuple[str, str]:
        return "DataFrame", "pandas.DataFrame"

    def facts(self, value: Frame) -> list[str]:
        return [counted(value.shape[0], "row"), counted(value.shape[1], "column")]

    def brackets(self, value: Frame) -> tuple[str, str]:
        return f"<{self.line(value)}: ", ">"

    def count(self, value: Frame) -> int:
        return value.shape[1]

    def entries(self, value: Frame) -> Iterator[Entry]:
        columns = map(value.column, range(value.shape[1]))
        return (Entry(ATTRIBUTE, str(column.name), column) for column in columns)

    def grid(self, value: Frame) -> Grid:
        def head(at: int) -> tuple[Any, str]:
            column = value.column(at)
            return column.name, column.dtype

        index, values = value.index, value.values
        return Grid(*value.shape, head, index.__getitem__, lambda row, at: values[at][row])


@shaped(_ColumnShape())
class Column(Values):
    """Values of one type: a Series, a column of a frame, or an extension array.

    Attributes
    ----------
    name : Any
        Its label, where it has one.
    dtype : str
        What pandas calls the type of the values.
    index : Index or None
        The labels of the rows, where it is a Series.
    source : tuple
        What the values are worked out from; two columns with the same type, length and source are the same.
    depth : int
        How many columns are between it and what is stored: each gets its values from the next.

    Raises
    ------
    CannotConvert
        If there are more than pandas would ever have, or more values than can be counted.
    """

    __slots__ = ("_get", "_length", "_made", "depth", "dtype", "index", "name", "source")
    __hash__ = None
    depth: int

    def __init__(
        self,
        length: int,
        get: Callable[[int], Any],
        dtype: str,
        source: tuple[Any, ...],
        name: Any = None,
        index: Index | None = None,
    ) -> None:
        self.depth = 1 + max((part.depth for part in source if isinstance(part, Column)), default=0)
        if self.depth > _DEPTH or length >= 1 << 62:
            raise CannotConvert
        self._made: dict[int, Any] = {}
        self._length = length
        self._get = get
        self.dtype = dtype
        self.source = source
        self.name = name
        self.index = index

    def labelled(self, name: Any, index: Index | None) -> Column:
        """Return the same values under another label, with labels of the rows."""
        return Column(self._length, self._get, self.dtype, self.source, name, index)

    def __len__(self) -> int:
        return self._length

    @property
    def shape(self) -> tuple[int]:  # type: ignore[override]
        """How many values there are."""
        return (self._length,)

    @property
    def labels(self) -> Mapping[str, Any]:
        """Its name, and the labels of the rows."""
        return {"name": self.name, "index": self.index}

    def flat(self) -> Iterator[Any]:
        """Yield all values."""
        return map(self._get, range(self._length))

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
        index = self.index
        if index is not None:
            # One can declare more labels than there are atoms, where they are counted or mostly missing.
            most = _LABELS + sum(map(len, stored(index)))
            for position, found in enumerate(islice(index, most)):
                if found == label:
                    return position
        raise KeyError(label)

    def __iter__(self) -> Iterator[Any]:
        return self.flat()

    def tolist(self) -> list[Any]:
        """Return all values."""
        return list(self)

    def once(self, position: int) -> Any:
        """Return a value by position that many places refer to: the same object each time."""
        if position not in self._made:
            self._made[position] = self._get(position)
        return self._made[position]

    def at(self, codes: Callable[[int], Any]) -> Callable[[int], Any]:
        """Return what gets the value that a code stands for; `None` for a code that stands for none."""

        def get(i: int) -> Any:
            code = codes(i)
            return self.once(code) if 0 <= code < self._length else None

        return get


class Index(Column):
    """The labels of rows or columns.

    Attributes
    ----------
    names : list
        The names of its levels; one unless it is a MultiIndex.
    """

    __slots__ = ("names",)

    def __init__(self, values: Column, names: Sequence[Any]) -> None:
        super().__init__(
            len(values), values._get, values.dtype, values.source, names[0] if len(names) == 1 else None
        )
        self.names = list(names)


@shaped(_FrameShape())
class Frame(Shown):
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

    __slots__ = ("columns", "index", "values")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, columns: Index, index: Index, values: list[Column]) -> None:
        self.columns = columns
        self.index = index
        self.values = values

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows and columns there are."""
        return len(self.index), len(self.values)

    @property
    def dtypes(self) -> list[tuple[Any, str]]:
        """The columns' labels and types."""
        return [(label, column.dtype) for label, column in zip(self.columns, self.values, strict=True)]

    @property
    def labels(self) -> Mapping[str, Any]:
        """The labels of the columns and of the rows."""
        return {"columns": self.columns, "index": self.index}

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
        try:
            label = self.columns[position]
        except NotShownError:
            label = None
        return self.values[position].labelled(label, self.index)

    def head(self, count: int = 5) -> list[dict[Any, Any]]:
        """Return the first rows."""
        rows = range(min(count, len(self)))
        return [
            {str(label): column[i] for label, column in zip(self.columns, self.values, strict=True)}
            for i in rows
        ]
