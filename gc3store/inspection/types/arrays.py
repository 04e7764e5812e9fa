"""NumPy arrays and scalars, read from their bytes without NumPy.

An `Array` knows its dtype and shape, and decodes the elements that are asked for. It
also describes itself by ``__array_interface__``, so that where NumPy is installed
``numpy.asarray(array)`` gives the whole array, without a copy, and for the asking only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, Any, Final

from gc3store.inspection.machine.names import callee
from gc3store.inspection.machine.nodes import BUFFER, Node
from gc3store.inspection.types.dtypes import VALUES as DTYPES
from gc3store.inspection.types.dtypes import DType, dtype_of, shape_of
from gc3store.inspection.types.standard import NotPlainError, list_of, raw_bytes, state_of
from gc3store.inspection.values import Shown

if TYPE_CHECKING:
    from gc3store.inspection.building import Reader

__all__ = ["Array", "array_of", "buffer_of"]


class Array(Shown):
    """A NumPy array: its elements are decoded when they are asked for.

    Attributes
    ----------
    dtype : DType
        The type of the elements.
    shape : tuple of int
        How many there are in each dimension.
    cls : str
        Dotted name of the class; ``numpy.ndarray`` unless it is a subclass.

    Examples
    --------
    ``array[3]``, ``array[2:5]`` and ``array[1, 2]`` are an element, a list and an element;
    ``array[1]`` of a matrix is a row, as an `Array`.
    """

    __slots__ = ("_data", "_objects", "_offset", "_strides", "cls", "dtype", "shape")
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        dtype: DType,
        shape: tuple[int, ...],
        data: memoryview | None,
        *,
        fortran: bool = False,
        objects: list[Any] | None = None,
        cls: str = "numpy.ndarray",
    ) -> None:
        self.dtype = dtype
        self.shape = shape
        self.cls = cls
        self._data = data
        self._objects = objects
        size = 1 if objects is not None else dtype.size
        strides, step = [], size
        for length in shape if fortran else reversed(shape):
            strides.append(step)
            step *= length
        self._strides = tuple(strides if fortran else reversed(strides))
        self._offset = 0

    @property
    def size(self) -> int:
        """How many elements there are."""
        return prod(self.shape)

    @property
    def ndim(self) -> int:
        """How many dimensions there are."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.dtype.size

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("This array has no dimensions, thus no length.")
        return self.shape[0]

    def __bool__(self) -> bool:
        return True

    def _at(self, offset: int) -> Any:
        if self._objects is not None:
            return self._objects[offset]
        assert self._data is not None  # one of the two there is
        return self.dtype.decode(self._data, offset)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            value: Any = self
            for step in key:
                value = value[step]
            return value if key or self.shape else self._at(self._offset)
        if not self.shape:
            raise IndexError("This array has no dimensions; its only element is array[()].")
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(self.shape[0]))]
        if not isinstance(key, int):
            if isinstance(key, str) and self.dtype.fields:
                return self._field(key)
            raise TypeError(f"An array is indexed by numbers, not by {key!r}.")
        index = key + self.shape[0] if key < 0 else key
        if not 0 <= index < self.shape[0]:
            raise IndexError(f"The array has {self.shape[0]} rows; there is no [{key}].")
        offset = self._offset + index * self._strides[0]
        if len(self.shape) == 1:
            return self._at(offset)
        row = Array(self.dtype, self.shape[1:], self._data, objects=self._objects)
        row._strides, row._offset = self._strides[1:], offset
        return row

    def _field(self, name: str) -> Array:
        for field, dtype, offset in self.dtype.fields:
            if field == name:
                column = Array(dtype, self.shape, self._data)
                column._strides, column._offset = self._strides, self._offset + offset
                return column
        raise KeyError(name)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    @property
    def layout(self) -> tuple[memoryview | list[Any], tuple[int, ...], int]:
        """The bytes of the elements, or the objects, and where in them the elements are."""
        return self._data if self._data is not None else self._objects or [], self._strides, self._offset

    def flat(self) -> Iterator[Any]:
        """Yield all elements, in the order in which nested lists would hold them."""
        return map(self._at, self._offsets(0, self._offset)) if self.size else iter(())

    def _offsets(self, dimension: int, start: int) -> Iterator[int]:
        if dimension == len(self.shape):
            yield start
            return
        step = self._strides[dimension]
        for i in range(self.shape[dimension]):
            yield from self._offsets(dimension + 1, start + i * step)

    def head(self, count: int) -> list[Any]:
        """Return the first elements, in the order in which nested lists would hold them."""
        return list(islice(self.flat(), count))

    def tolist(self) -> Any:
        """Return all elements, as nested lists."""
        if not self.shape:
            return self[()]
        return [row.tolist() if isinstance(row, Array) else row for row in self]

    @property
    def __array_interface__(self) -> dict[str, Any]:
        if self._data is None or self.dtype.fields or self.dtype.base is not None:
            raise AttributeError("NumPy cannot read this array's bytes in place; use tolist().")
        start = self._offset
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.code,
            "strides": self._strides,
            "data": self._data[start:] if start else self._data,
        }


def buffer_of(raw: Any, reader: Reader) -> memoryview:
    """Return the bytes that a node means, without copying them where that can be."""
    if type(raw) is list and raw[2] == BUFFER and len(raw) == 3:
        view: memoryview = raw[0]
        return view
    data = raw_bytes(raw, reader.budget)
    return data if isinstance(data, memoryview) else memoryview(data)


def _array(
    dtype: DType,
    shape: tuple[int, ...],
    data: Any,
    *,
    fortran: bool,
    reader: Reader,
    cls: str = "numpy.ndarray",
) -> Array:
    if dtype.kind in "OT" and not dtype.fields:
        items = list_of(data, reader.budget)
        if len(items) != prod(shape):
            raise NotPlainError
        # Elements of object arrays are written in the order of C, whatever the flag says.
        array = Array(dtype, shape, None, objects=[], cls=cls)
        reader.later(lambda: array._objects.extend(reader.values(items)))  # type: ignore[union-attr]
        return array
    view = buffer_of(data, reader)
    if dtype.objects or (prod(shape) * dtype.size != len(view)) or (not dtype.size and prod(shape) > 1000):
        raise NotPlainError
    return Array(dtype, shape, view, fortran=fortran, cls=cls)


def _frombuffer(args: tuple[Any, ...], node: Node, reader: Reader) -> Array:
    # numpy._core.numeric._frombuffer(buffer, dtype, shape, order[, axis order])
    if len(node) != 3 or not 4 <= len(args) <= 5 or args[3] not in ("C", "F", "K"):
        raise NotPlainError
    shape = shape_of(args[2])
    if args[3] == "K":
        axes = args[4] if len(args) == 5 else None
        if type(axes) is not tuple or len(axes) != len(shape) or set(axes) != set(range(len(shape))):
            raise NotPlainError
        array = _array(dtype_of(args[1], reader), shape, args[0], fortran=False, reader=reader)
        array.shape = tuple(shape[i] for i in axes)
        array._strides = tuple(array._strides[i] for i in axes)
        return array
    return _array(dtype_of(args[1], reader), shape, args[0], fortran=args[3] == "F", reader=reader)


def _reconstruct(args: tuple[Any, ...], node: Node, reader: Reader) -> Array:
    # numpy._core.multiarray._reconstruct(class, (0,), b"b"), then the state
    state = state_of(node)
    if not args or type(state) is not tuple or len(state) not in (4, 5):
        raise NotPlainError
    shape, dtype, fortran, data = state[-4:]
    name = callee(args[0])
    return _array(
        dtype_of(dtype, reader), shape_of(shape), data, fortran=bool(fortran), reader=reader, cls=name
    )


def _scalar(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    if len(node) != 3 or len(args) != 2:
        raise NotPlainError
    dtype = dtype_of(args[0], reader)
    if dtype.kind == "O":
        return reader.value(args[1])
    data = memoryview(raw_bytes(args[1], reader.budget))
    if len(data) != dtype.size or dtype.objects:
        raise NotPlainError
    reader.budget.touch(args[1], len(data))
    return dtype.decode(data, 0)


def array_of(raw: Any, reader: Reader) -> Array:
    """Return the array that a node means."""
    value = reader.value(raw)
    if not isinstance(value, Array):
        raise NotPlainError
    return value


Builder = Callable[[tuple[Any, ...], Node, "Reader"], Any]

#: What makes an array or an element of one, by exact dotted name.
VALUES: Final[dict[str, Builder]] = {
    **DTYPES,
    **{
        f"numpy.{core}.{module}.{name}": builder
        for core in ("core", "_core")
        for module, name, builder in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _frombuffer),
        )
    },
}
