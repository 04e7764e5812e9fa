"""NumPy's arrays and scalars.

What a payload says of an array is checked here: an `Array` knows type and shape. NumPy decodes the values when the
first of them is asked for, from the payload's bytes and by a type that was checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import TYPE_CHECKING, Any

from gc3store.inspection.arrays import Values, ValuesShape
from gc3store.inspection.budget import CannotConvert
from gc3store.inspection.building import Reader, builds, list_of, raw_bytes, state_of, value_of
from gc3store.inspection.libraries import NotShownError, library
from gc3store.inspection.machine.names import callee
from gc3store.inspection.machine.nodes import BUFFER, Node
from gc3store.inspection.shape import TIMES, Grid, shaped
from gc3store.inspection.types.dtypes import DType, dimensions
from gc3store.support.text import clean

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Array", "buffer_of"]


class _ArrayShape(ValuesShape):
    kind = "array"

    def class_path(self, value: Array) -> str:
        return value.cls

    def line(self, value: Array) -> str:
        return f"array {TIMES.join(map(str, value.shape)) or 'of one'} {clean(str(value.dtype))}"

    def label(self, value: Array) -> tuple[str, str]:
        if not value.shape:
            return clean(str(value.dtype)), "array without dimensions"
        return f"{self.type_text(value)} {self.shape_text(value)}", clean(value.cls)

    def facts(self, value: Array) -> list[str]:
        return [self.shape_text(value), clean(str(value.dtype)), _bytes(value.nbytes)]

    def grid(self, value: Array) -> Grid | None:
        above = value.ndim - 2
        caption = f"[{'0, ' * above}:, :]" if above > 0 else ""
        for _ in range(above):
            value = value[0]
        fields = value.dtype.fields
        if fields and value.ndim == 1:
            heads = [(name, str(dtype)) for name, dtype, _ in fields]
            return Grid(len(value), len(heads), heads.__getitem__, str, lambda row, at: value[row][at])
        if value.ndim < 2:
            return None
        rows, columns = value.shape
        return Grid(rows, columns, lambda at: (str(at), ""), str, lambda row, at: value[row, at], caption)


def _bytes(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"


@shaped(_ArrayShape())
class Array(Values):
    """A NumPy array: its values are decoded when they are asked for.

    Attributes
    ----------
    dtype : DType
        The type of the elements.
    shape : tuple of int
        How many there are in each dimension.
    cls : str
        Dotted name of the class; ``numpy.ndarray`` unless it is a subclass.
    source : tuple
        What the values are decoded from, and how; two arrays with the same shape and source are the same.

    Raises
    ------
    InspectionError
        If values are asked for that cannot be shown: NumPy is not installed, or cannot decode them.

    Examples
    --------
    ``array[3]``, ``array[2:5]`` and ``array[1, 2]`` are an element, a list and an element;
    ``array[1]`` of a matrix is a row, as an `Array`.
    """

    __slots__ = ("_load", "_values", "cls", "dtype", "shape", "source")
    dtype: DType
    __hash__ = None

    def __init__(
        self,
        dtype: DType,
        shape: tuple[int, ...],
        load: Callable[[], np.ndarray[Any, Any]],
        source: tuple[Any, ...],
        cls: str = "numpy.ndarray",
    ) -> None:
        self.dtype = dtype
        self.shape = shape
        self.cls = cls
        self.source = source
        self._load = load
        self._values: np.ndarray[Any, Any] | None = None

    @property
    def ndim(self) -> int:
        """How many dimensions there are."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.dtype.size

    @property
    def values(self) -> np.ndarray[Any, Any]:
        """The array itself, read-only and without a copy of its bytes."""
        if self._values is None:
            try:
                self._values = self._load()
            except (TypeError, ValueError, OverflowError, MemoryError, RecursionError) as error:
                raise NotShownError(f"NumPy cannot decode these values: {error}.") from error
        return self._values

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("This array has no dimensions, thus no length.")
        return self.shape[0]

    @property
    def cost(self) -> int:
        """About how many steps it takes to compare all elements."""
        return self.size * self.dtype.weight + self.nbytes // 512

    def alike(self, other: Any) -> bool:
        """Whether shape and meaning of the elements are the same."""
        return self.shape == other.shape and self.dtype.means(other.dtype)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            value: Any = self
            for step in key:
                value = value[step]
            return value if key or self.shape else next(self.flat())
        if not self.shape:
            raise IndexError("This array has no dimensions; its only element is array[()].")
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(self.shape[0]))]
        if isinstance(key, str):
            return self._field(key)
        if not isinstance(key, int):
            raise TypeError(f"An array is indexed by numbers, not by {key!r}.")
        index = key + self.shape[0] if key < 0 else key
        if not 0 <= index < self.shape[0]:
            raise IndexError(f"The array has {self.shape[0]} rows; there is no [{key}].")
        if self.ndim == 1:
            return next(self._plain(self._row[index : index + 1]))
        return self._part(self.dtype, self.shape[1:], index)

    def _part(self, dtype: DType, shape: tuple[int, ...], key: Any) -> Array:
        return Array(dtype, shape, lambda: self.values[key], (*self.source, key))

    def _field(self, name: str) -> Array:
        for found, dtype, _ in self.dtype.fields:
            if found == name:
                base = dtype if dtype.base is None else dtype.base
                return self._part(base, self.shape + dtype.shape, name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self))) if self.ndim != 1 else self.flat()

    def flat(self) -> Iterator[Any]:
        """Yield all elements, in the order in which nested lists would hold them."""
        yield from self._plain(self._row)

    @property
    def _row(self) -> Any:
        # Objects are here already, without NumPy.
        whole = self.dtype.objects and len(self.source) == 2
        return self.source[1] if whole else self.values.flat

    def _plain(self, elements: Any) -> Iterator[Any]:
        try:
            yield from map(self.dtype.plain, elements)
        except (SystemError, ValueError, OverflowError) as error:
            raise NotShownError(f"NumPy cannot decode an element of this array: {error}.") from error

    def tolist(self) -> Any:
        """Return all elements, as nested lists."""
        if self.ndim < 2:
            return list(self.flat()) if self.shape else self[()]
        return [row.tolist() for row in self]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        values = self.values
        return values.astype(values.dtype if dtype is None else dtype, copy=bool(copy))


def buffer_of(raw: Any, reader: Reader) -> memoryview:
    """Return the bytes that a node means, without copying them where that can be."""
    if type(raw) is list and raw[2] == BUFFER and len(raw) == 3:
        view: memoryview = raw[0]
        return view
    data = raw_bytes(raw, reader.budget)
    # The same view each time, by which comparison knows that it has seen these bytes.
    return data if isinstance(data, memoryview) else memoryview(data)


def _array(
    dtype: DType,
    shape: tuple[int, ...],
    data: Any,
    reader: Reader,
    *,
    order: Any = "C",
    axes: tuple[int, ...] | None = None,
    cls: str = "numpy.ndarray",
) -> Array:
    if dtype.kind in "OT" and not dtype.fields:
        return _objects(dtype, shape, data, reader, cls)
    view = buffer_of(data, reader)
    if dtype.objects or dtype.base is not None or prod(shape) * dtype.size != len(view):
        raise CannotConvert
    if not dtype.size and prod(shape) > 1000:
        raise CannotConvert

    def load() -> np.ndarray[Any, Any]:
        made = library("numpy").ndarray(shape, dtype.numpy(), view, order=order)
        return made if axes is None else made.transpose(axes)  # type: ignore[no-any-return]

    turned = shape if axes is None else tuple(shape[i] for i in axes)
    return Array(dtype, turned, load, (dtype, view, order, axes), cls)


def _objects(dtype: DType, shape: tuple[int, ...], data: Any, reader: Reader, cls: str) -> Array:
    items = list_of(data, reader.budget)
    if len(items) != prod(shape):
        raise CannotConvert
    values: list[Any] = []
    reader.later(lambda: values.extend(reader.values(items)))

    def load() -> np.ndarray[Any, Any]:
        made: np.ndarray[Any, Any] = library("numpy").empty(len(values), object)
        for i, value in enumerate(values):  # at once, NumPy would look into them
            made[i] = value
        # They are written in the order of C; the flag does not matter.
        return made.reshape(shape)

    return Array(dtype, shape, load, (dtype, values), cls)


@builds("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer", makes="numpy.ndarray")
def _frombuffer(args: tuple[Any, ...], _node: Node, reader: Reader) -> Array:
    # numpy._core.numeric._frombuffer(buffer, dtype, shape, order[, axis order])
    if not 4 <= len(args) <= 5 or args[3] not in ("C", "F", "K"):
        raise CannotConvert
    dtype, shape = value_of(args[1], DType, reader), dimensions(args[2])
    if args[3] != "K":
        return _array(dtype, shape, args[0], reader, order=args[3])
    axes = args[4] if len(args) == 5 else None
    if type(axes) is not tuple or len(axes) != len(shape) or set(axes) != set(range(len(shape))):
        raise CannotConvert
    return _array(dtype, shape, args[0], reader, axes=axes)


@builds(
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    makes=lambda args: callee(args[0]) if args else "",
    mentions=["numpy.ndarray"],
    changes=True,
)
def _reconstruct(args: tuple[Any, ...], node: Node, reader: Reader) -> Array:
    # numpy._core.multiarray._reconstruct(class, (0,), b"b"), then the state
    state = state_of(node)
    if not args or type(state) is not tuple or len(state) not in (4, 5):
        raise CannotConvert
    shape, dtype, fortran, data = state[-4:]
    order, name = "F" if fortran else "C", callee(args[0])
    return _array(value_of(dtype, DType, reader), dimensions(shape), data, reader, order=order, cls=name)


@builds("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", makes="numpy.generic")
def _scalar(args: tuple[Any, ...], _node: Node, reader: Reader) -> Any:
    raw, data = args
    dtype = value_of(raw, DType, reader)
    if dtype.kind == "O":
        return reader.value(data)
    array = _array(dtype, (), data, reader)
    reader.budget.touch(data, array.nbytes)
    return array[()]
