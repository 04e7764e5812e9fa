"""The types of NumPy's elements, and how an element is a value of Python.

What a payload says of a type is checked here, and made into a `DType`. NumPy's own type is put together from
that when it is needed; nothing that the payload names is called.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from math import prod
from typing import TYPE_CHECKING, Any, Final

from gc3store.inspection.budget import CannotConvert
from gc3store.inspection.building import Reader, builds, mapping_of, raw_bytes, state_of, value_of
from gc3store.inspection.libraries import library
from gc3store.inspection.machine.nodes import Node
from gc3store.inspection.shape import ScalarShape, shaped
from gc3store.support.text import clean

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DType", "aware", "dimensions", "moment"]

#: Types are so deep within types at most.
_DEPTH: Final = 16
_NAMES: Final = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex", "M": "datetime64",
                 "m": "timedelta64", "O": "object", "T": "StringDType"}  # fmt: skip


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
    """Return a moment that was stored in UTC as such; the zone that it is shown in does not matter."""
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
        base, shape = value_of(state[2][0], DType, reader), dimensions(state[2][1])
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


def dimensions(raw: Any) -> tuple[int, ...]:
    """Return the shape that a raw value means."""
    shape = (raw,) if type(raw) is int else raw
    if type(shape) is not tuple or len(shape) > 64:
        raise CannotConvert
    if any(type(n) is not int or not 0 <= n < 1 << 62 for n in shape):
        raise CannotConvert
    return shape
