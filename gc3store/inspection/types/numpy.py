"""NumPy's types, arrays and scalars.

What a payload says of an array is checked here: a `DType` and an `Array` know type and shape. NumPy decodes
the values when the first of them is asked for, from the payload's bytes and by a type that is put together
from the checked description. It never calls what the payload names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from math import prod
from typing import TYPE_CHECKING, Any, Final

from gc3store.inspection.arrays import Values, ValuesShape
from gc3store.inspection.budget import CannotConvert
from gc3store.inspection.building import Reader, builds, list_of, mapping_of, raw_bytes, state_of, value_of
from gc3store.inspection.libraries import NotShownError, library
from gc3store.inspection.machine.names import callee
from gc3store.inspection.machine.nodes import BUFFER, Node
from gc3store.inspection.shape import TIMES, Grid, ScalarShape, shaped
from gc3store.support.text import clean

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Array", "DType", "aware", "buffer_of", "moment"]

#: Types are so deep within types at most.
_DEPTH: Final = 16
_NAMES: Final = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex", "M": "datetime64",
                 "m": "timedelta64", "O": "object", "T": "StringDType"}  # fmt: skip


# Types.


@shaped(ScalarShape(lambda value: f"dtype {clean(str(value))}"))
@dataclass(slots=True, eq=False)
class DType:
    """The type of an array's elements.

    Attributes
    ----------
    kind : str
        NumPy's letter: ``b i u f c M m S U V O``, or ``T`` for strings of any length.
    size : int
        Bytes of one element.
    order : {"<", ">", "|"}
        Byte order.
    unit : str
        Of times: ``ns``, ``25s``.
    fields : tuple of (str, DType, int)
        Of records: names, types and offsets.
    base : DType or None, shape : tuple of int
        Of elements that are themselves arrays.
    """

    kind: str
    size: int
    order: str = "|"
    unit: str = ""
    fields: tuple[tuple[str, DType, int], ...] = ()
    base: DType | None = None
    shape: tuple[int, ...] = ()
    #: How many plain values an element is.
    weight: int = field(default=1, init=False, repr=False)
    #: Whether elements are, or contain, Python objects.
    objects: bool = field(default=False, init=False, repr=False)
    #: How deep types are within types.
    depth: int = field(default=1, init=False, repr=False)
    #: What is the same for types whose elements mean the same, and for those that are stored the same.
    _meaning: bytes = field(default=b"", init=False, repr=False)
    _layout: bytes = field(default=b"", init=False, repr=False)
    _numpy: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        # Worked out once: types within types may share their parts, so that following them never ends.
        inner = [type_ for _, type_, _ in self.fields] + ([self.base] if self.base is not None else [])
        weight = sum(type_.weight for type_ in inner)
        self.weight = weight * prod(self.shape) if self.base is not None else 1 + weight
        self.objects = self.kind in "OT" or any(type_.objects for type_ in inner)
        self.depth = 1 + max((type_.depth for type_ in inner), default=0)
        names, offsets = [name for name, _, _ in self.fields], [offset for _, _, offset in self.fields]
        meanings = [type_._meaning for type_ in inner]
        self._meaning = _digest(self.kind, self.size, self.unit, self.shape, names, meanings)
        self._layout = _digest(self._meaning, self.order, offsets, [type_._layout for type_ in inner])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DType) and self._layout == other._layout

    def __hash__(self) -> int:
        return hash(self._layout)

    def means(self, other: DType) -> bool:
        """Whether elements mean the same, byte orders and offsets aside."""
        return self._meaning == other._meaning

    def __str__(self) -> str:
        return self._text(3)

    def _text(self, levels: int) -> str:
        if self.base is not None:
            return f"({self.base._text(levels)}, {self.shape})"
        if self.fields:
            if not levels or (levels < 3 and len(self.fields) > 5):
                return f"{{{len(self.fields)} fields}}"
            shown = [f"{name[:100]}: {type_._text(levels - 1)}" for name, type_, _ in self.fields[:50]]
            return "{" + ", ".join(shown) + "}"
        if self.kind in "SUV":
            return f"<U{self.size // 4}" if self.kind == "U" else f"|{self.kind}{self.size}"
        bits = str(self.size * 8) if self.kind in "iufc" else ""
        return _NAMES[self.kind] + bits + (f"[{self.unit}]" if self.unit else "")

    @property
    def code(self) -> str:
        """NumPy's type string, such as ``<f8``."""
        size = self.size // 4 if self.kind == "U" else self.size
        return f"{self.order}{self.kind}{size}" + (f"[{self.unit}]" if self.unit else "")

    def numpy(self) -> np.dtype[Any]:
        """Return NumPy's own type for it, made once."""
        if self._numpy is None:
            make = library("numpy").dtype
            if self.fields:
                names, types, offsets = zip(*self.fields, strict=True)
                formats = [type_.numpy() for type_ in types]
                parts = {"names": names, "formats": formats, "offsets": offsets, "itemsize": self.size}
                self._numpy = make(parts)
            elif self.base is not None:
                self._numpy = make((self.base.numpy(), self.shape))
            else:
                self._numpy = make(object if self.objects else self.code)
        return self._numpy  # type: ignore[no-any-return]

    def plain(self, element: Any) -> Any:
        """Return an element as NumPy gives it as a value of Python."""
        if self.fields:
            return tuple(type_.plain(element[name]) for name, type_, _ in self.fields)
        if self.base is not None:
            return _nested(self.base, element)
        if self.kind in "Mm":
            return moment(self.kind, self.unit, int(element.view("i8")))
        if self.kind in "fc":  # also of those that Python has no type for
            return float(element) if self.kind == "f" else complex(element)
        if self.kind == "V":
            return element.tobytes()
        return element if self.objects else element.item()


def _digest(*parts: Any) -> bytes:
    return blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _nested(dtype: DType, values: Any) -> list[Any]:
    one = values.ndim == 1 or dtype.base is not None
    return [dtype.plain(value) if one else _nested(dtype, value) for value in values]


_UNITS: Final = frozenset("Y M W D h m s ms us ns ps fs as generic".split())  # noqa: SIM905
_NAT: Final = -(1 << 63)


def moment(kind: str, unit: str, count: int) -> Any:
    """Return a moment (kind ``M``) or a duration (``m``): as such where that is exact, else as a string."""
    if count == _NAT or not unit:
        return None if count == _NAT else count
    np = library("numpy")
    value = (np.datetime64 if kind == "M" else np.timedelta64)(count, unit)
    micros = value.astype(f"{kind}8[us]")
    found = micros.item()
    exact = micros.astype(value.dtype) == value and isinstance(found, (datetime, timedelta))
    return found if exact and (kind == "M" or unit[-1] not in "YM") else str(value)


def aware(value: Any) -> Any:
    """Return a moment that was stored in UTC, whatever zone it is shown in, as such."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


@builds("numpy._core._internal._convert_to_stringdtype_kwargs")
def _strings(_args: tuple[Any, ...], _node: Node, _reader: Reader) -> DType:
    # numpy._core._internal._convert_to_stringdtype_kwargs(coerce[, missing value])
    return DType("T", 8)


_SIZES: Final = {
    "b": (1,),
    "i": (1, 2, 4, 8),
    "u": (1, 2, 4, 8),
    "f": range(2, 33),
    "c": range(2, 33),
    "O": (8, 4),
}


@builds("numpy.dtype", changes=True)
def _dtype(args: tuple[Any, ...], node: Node, reader: Reader) -> DType:
    # numpy.dtype(code, False, True), then the state: (version, order, (base, shape), names, fields, ...)
    if not args or type(args[0]) is not str:
        raise CannotConvert
    kind, digits = args[0][:1], args[0][1:]
    if not kind or kind not in "biufcMmSUVO" or len(digits) > 10 or not (digits or "0").isdecimal():
        raise CannotConvert
    size = 8 if kind in "Mm" else 1 if kind == "b" else int(digits or 0) * (4 if kind == "U" else 1)
    if size not in _SIZES.get(kind, (size,)):
        raise CannotConvert
    state = state_of(node)
    if state is None:
        return DType(kind, size)
    if type(state) is not tuple or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
        raise CannotConvert
    order = "<" if state[1] == "=" else state[1]
    if type(state[2]) is tuple and len(state[2]) == 2:
        base, shape = value_of(state[2][0], DType, reader), shape_of(state[2][1])
        if not 1 <= len(shape) <= 32 or prod(shape) * base.size != size or not size or base.depth >= _DEPTH:
            raise CannotConvert
        return DType(kind, size, order, base=base, shape=shape)
    fields = _fields(state[3], state[4], size, reader) if type(state[3]) is tuple else ()
    return DType(kind, size, order, _unit(state, reader) if kind in "Mm" else "", fields)


def _fields(
    names: tuple[Any, ...], raw: Any, size: int, reader: Reader
) -> tuple[tuple[str, DType, int], ...]:
    table = mapping_of(raw, reader.budget)
    reader.budget.touch(names, 512 * len(names))
    found = []
    for name in names:
        entry = table.get(name) if type(name) is str else None
        if type(entry) is not tuple or len(entry) < 2 or type(entry[1]) is not int:
            raise CannotConvert
        type_ = value_of(entry[0], DType, reader)
        if not 0 <= entry[1] <= size - type_.size or type_.depth >= _DEPTH:
            raise CannotConvert
        found.append((name, type_, entry[1]))
    if sum(type_.weight for _, type_, _ in found) > 64 + 2 * size:
        raise CannotConvert  # fields of fields that overlap: one element would fill the memory
    return tuple(found)


def _unit(state: tuple[Any, ...], reader: Reader) -> str:
    metadata = state[8] if len(state) > 8 else None
    if type(metadata) is not tuple or len(metadata) != 2:
        return ""
    raw = metadata[1]
    if type(raw) is not tuple or len(raw) < 2 or type(raw[1]) is not int or not 0 < raw[1] < 1 << 31:
        raise CannotConvert
    name = str(bytes(raw_bytes(raw[0], reader.budget)), "ascii", "replace")
    if name not in _UNITS:
        raise CannotConvert
    return "" if name == "generic" else name if raw[1] == 1 else f"{raw[1]}{name}"


def shape_of(raw: Any) -> tuple[int, ...]:
    """Return the shape that a raw value means."""
    shape = (raw,) if type(raw) is int else raw
    if type(shape) is not tuple or len(shape) > 64:
        raise CannotConvert
    if any(type(n) is not int or not 0 <= n < 1 << 62 for n in shape):
        raise CannotConvert
    return shape


# Arrays.


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
        # They are written in the order of C, whatever the flag says.
        return made.reshape(shape)

    return Array(dtype, shape, load, (dtype, values), cls)


@builds("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer", makes="numpy.ndarray")
def _frombuffer(args: tuple[Any, ...], _node: Node, reader: Reader) -> Array:
    # numpy._core.numeric._frombuffer(buffer, dtype, shape, order[, axis order])
    if not 4 <= len(args) <= 5 or args[3] not in ("C", "F", "K"):
        raise CannotConvert
    dtype, shape = value_of(args[1], DType, reader), shape_of(args[2])
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
    return _array(value_of(dtype, DType, reader), shape_of(shape), data, reader, order=order, cls=name)


@builds("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", makes="numpy.generic")
def _scalar(args: tuple[Any, ...], _node: Node, reader: Reader) -> Any:
    raw, data = args
    dtype = value_of(raw, DType, reader)
    if dtype.kind == "O":
        return reader.value(data)
    array = _array(dtype, (), data, reader)
    reader.budget.touch(data, array.nbytes)
    return array[()]
